/* TLS: who is trusted, and when a changed file is noticed. The server uses the libssl
 * that libcurl has loaded; certificates are made by openssl(1): skipped without the
 * two. */
#include "rig.h"
#include "support/server.h"
#include <dlfcn.h>
#include <signal.h>
#include <sys/wait.h>

#define TLS_CTRL_MAX_PROTO_VERSION 124 /* SSL_CTX_set_max_proto_version */
#define TLS_1_1 0x0302
#define TLS_FILE_PEM 1
#define TLS_CONNECTIONS_MAX 16

/* libssl, as far as the server needs it. */
struct libssl {
    const void *(*TLS_server_method)(void);
    void *(*SSL_CTX_new)(const void *method);
    void (*SSL_CTX_free)(void *ctx);
    long (*SSL_CTX_ctrl)(void *ctx, int command, long number, void *pointer);
    int (*SSL_CTX_set_cipher_list)(void *ctx, const char *ciphers);
    int (*SSL_CTX_use_certificate_file)(void *ctx, const char *file, int type);
    int (*SSL_CTX_use_PrivateKey_file)(void *ctx, const char *file, int type);
    void *(*SSL_new)(void *ctx);
    void (*SSL_free)(void *ssl);
    int (*SSL_set_fd)(void *ssl, int fd);
    int (*SSL_accept)(void *ssl);
    int (*SSL_read)(void *ssl, void *data, int len);
    int (*SSL_write)(void *ssl, const void *data, int len);
};

struct fixture {
    struct rig *rig;
    struct libssl libssl;
    void *ctx;
    char dir[32];
    char ca[64]; /* what clients trust: a copy of one of the two below */
    int fd;
    int port;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_t peer[TLS_CONNECTIONS_MAX];
    int peer_fd[TLS_CONNECTIONS_MAX];
    int peers;
    int handshakes; /* that succeeded */
};

static int find(void *out, const char *name)
{
    void *symbol = dlsym(RTLD_DEFAULT, name);

    memcpy(out, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static int find_libssl(struct libssl *l)
{
    return find(&l->TLS_server_method, "TLS_server_method") &&
           find(&l->SSL_CTX_new, "SSL_CTX_new") &&
           find(&l->SSL_CTX_free, "SSL_CTX_free") &&
           find(&l->SSL_CTX_ctrl, "SSL_CTX_ctrl") &&
           find(&l->SSL_CTX_set_cipher_list, "SSL_CTX_set_cipher_list") &&
           find(&l->SSL_CTX_use_certificate_file, "SSL_CTX_use_certificate_file") &&
           find(&l->SSL_CTX_use_PrivateKey_file, "SSL_CTX_use_PrivateKey_file") &&
           find(&l->SSL_new, "SSL_new") && find(&l->SSL_free, "SSL_free") &&
           find(&l->SSL_set_fd, "SSL_set_fd") && find(&l->SSL_accept, "SSL_accept") &&
           find(&l->SSL_read, "SSL_read") && find(&l->SSL_write, "SSL_write");
}

static void answer_peer(struct fixture *f, void *ssl)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    char data[8192];
    int len = 0;
    int got;

    while ((got = f->libssl.SSL_read(ssl, data + len, (int)sizeof(data) - len - 1)) >
           0) {
        len += got;
        data[len] = '\0';
        if (strstr(data, "\r\n\r\n") == NULL)
            continue;
        len = 0;
        if (f->libssl.SSL_write(ssl, reply, (int)sizeof(reply) - 1) <= 0)
            return;
    }
}

struct peer {
    struct fixture *f;
    int fd;
};

static void *serve_peer(void *arg)
{
    struct peer *peer = arg;
    struct fixture *f = peer->f;
    void *ssl = f->libssl.SSL_new(f->ctx);

    if (ssl != NULL && f->libssl.SSL_set_fd(ssl, peer->fd) == 1 &&
        f->libssl.SSL_accept(ssl) == 1) {
        pthread_mutex_lock(&f->lock);
        f->handshakes++;
        pthread_mutex_unlock(&f->lock);
        answer_peer(f, ssl);
    }
    f->libssl.SSL_free(ssl);
    (void)shutdown(peer->fd, SHUT_RDWR); /* closed at the end, so no number is reused */
    free(peer);
    return NULL;
}

static void *serve(void *arg)
{
    struct fixture *f = arg;
    int fd;

    while ((fd = accept(f->fd, NULL, NULL)) >= 0) {
        struct peer *peer = calloc(1, sizeof(*peer));

        if (peer == NULL || f->peers == TLS_CONNECTIONS_MAX)
            abort();
        *peer = (struct peer){f, fd};
        pthread_mutex_lock(&f->lock);
        f->peer_fd[f->peers] = fd;
        if (pthread_create(&f->peer[f->peers++], NULL, serve_peer, peer) != 0)
            abort();
        pthread_mutex_unlock(&f->lock);
    }
    return NULL;
}

static int handshakes(struct fixture *f)
{
    int n;

    pthread_mutex_lock(&f->lock);
    n = f->handshakes;
    pthread_mutex_unlock(&f->lock);
    return n;
}

static int make_certificate(const char *dir, const char *name)
{
    char command[512];

    (void)snprintf(
        command, sizeof(command),
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        "-subj /CN=%s -addext subjectAltName=IP:127.0.0.1 -days 2 "
        "-keyout %s/%s.key -out %s/%s.pem 2>/dev/null",
        name, dir, name, dir, name);
    return system(command);
}

/* As a certificate manager does it: a new file over the old one. */
static void trust(struct fixture *f, const char *name)
{
    char command[256];

    (void)snprintf(command, sizeof(command), "cp %s/%s.pem %s/next && mv %s/next %s",
                   f->dir, name, f->dir, f->dir, f->ca);
    assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char path[64];

    assert_non_null(f);
    *state = f;
    pthread_mutex_init(&f->lock, NULL);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/srt-tls-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->ca, sizeof(f->ca), "%s/ca.pem", f->dir);
    f->rig = rig_start();
    if (!find_libssl(&f->libssl) || make_certificate(f->dir, "server") != 0 ||
        make_certificate(f->dir, "other") != 0)
        return 0; /* ctx NULL: skipped */
    f->ctx = f->libssl.SSL_CTX_new(f->libssl.TLS_server_method());
    assert_non_null(f->ctx);
    (void)snprintf(path, sizeof(path), "%s/server.pem", f->dir);
    assert_int_equal(f->libssl.SSL_CTX_use_certificate_file(f->ctx, path, TLS_FILE_PEM),
                     1);
    (void)snprintf(path, sizeof(path), "%s/server.key", f->dir);
    assert_int_equal(f->libssl.SSL_CTX_use_PrivateKey_file(f->ctx, path, TLS_FILE_PEM),
                     1);
    f->fd = server_listen(&f->port, 16);
    assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
    trust(f, "server");
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[64];

    rig_free(f->rig);
    if (f->ctx != NULL) {
        (void)shutdown(f->fd, SHUT_RDWR);
        (void)pthread_join(f->thread, NULL);
        (void)close(f->fd);
        for (int i = 0; i < f->peers; i++) {
            (void)shutdown(f->peer_fd[i], SHUT_RDWR);
            (void)pthread_join(f->peer[i], NULL);
            (void)close(f->peer_fd[i]);
        }
        f->libssl.SSL_CTX_free(f->ctx);
    }
    (void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static struct fetch *fetch_https(struct fixture *f, const char *host)
{
    struct fetch *fetch = fetch_new(f->rig, SRT_REQUEST_HTTP, "/v1/x");

    srt_buf_format(&fetch->transfer.request.base, "https://%s:%d/", host, f->port);
    fetch->transfer.request.idempotent = 1;
    fetch->transfer.request.tls.ca_file = f->ca;
    return fetch;
}

static void expect(struct fixture *f, const char *host, enum srt_outcome outcome,
                   const char *word)
{
    struct fetch *fetch = fetch_https(f, host);
    struct srt_reply *reply = fetch_now(fetch);

    assert_int_equal(reply->outcome, outcome);
    if (outcome == SRT_OUTCOME_ANSWERED)
        assert_string_equal(srt_secbuf_text(&reply->body), "hello");
    else
        assert_int_equal(reply->sent, 0);
    assert_non_null(strstr(reply->detail, word));
    fetch_free(fetch);
}

#define SKIP_WITHOUT_LIBSSL(f)                                                         \
    do {                                                                               \
        if ((f)->ctx == NULL)                                                          \
            skip();                                                                    \
    } while (0)

static void keeps_a_connection(void **state)
{
    struct fixture *f = *state;

    SKIP_WITHOUT_LIBSSL(f);
    for (int i = 0; i < 3; i++)
        expect(f, "127.0.0.1", SRT_OUTCOME_ANSWERED, "");
    assert_int_equal(handshakes(f), 1);
}

static void trusts_nobody_else(void **state)
{
    struct fixture *f = *state;

    SKIP_WITHOUT_LIBSSL(f);
    trust(f, "other");
    expect(f, "127.0.0.1", SRT_OUTCOME_TLS, "certificate");
    (void)unlink(f->ca);
    expect(f, "127.0.0.1", SRT_OUTCOME_TLS, "");
    f->ca[0] = '\0'; /* the system's */
    expect(f, "127.0.0.1", SRT_OUTCOME_TLS, "certificate");
}

static void checks_the_host(void **state)
{
    struct fixture *f = *state;

    SKIP_WITHOUT_LIBSSL(f);
    expect(f, "localhost", SRT_OUTCOME_TLS, "localhost");
}

static void notices_a_new_ca_file(void **state)
{
    struct fixture *f = *state;

    SKIP_WITHOUT_LIBSSL(f);
    expect(f, "127.0.0.1", SRT_OUTCOME_ANSWERED, "");
    trust(f, "other"); /* the kept-alive connection was trusted by the old one */
    expect(f, "127.0.0.1", SRT_OUTCOME_TLS, "certificate");
    trust(f, "server");
    expect(f, "127.0.0.1", SRT_OUTCOME_ANSWERED, "");
    expect(f, "127.0.0.1", SRT_OUTCOME_ANSWERED, "");
    assert_int_equal(handshakes(f), 2);
}

static void speaks_no_old_version(void **state)
{
    struct fixture *f = *state;

    SKIP_WITHOUT_LIBSSL(f);
    assert_int_equal(f->libssl.SSL_CTX_set_cipher_list(f->ctx, "ALL:@SECLEVEL=0"), 1);
    assert_int_equal(
        f->libssl.SSL_CTX_ctrl(f->ctx, TLS_CTRL_MAX_PROTO_VERSION, TLS_1_1, NULL), 1);
    expect(f, "127.0.0.1", SRT_OUTCOME_TLS, ""); /* a downgrade is no outage */
    assert_int_equal(handshakes(f), 0);
}

static void a_childs_end_does_not_end_the_parents_connection(void **state)
{
    struct fixture *f = *state;
    int status = 0;
    pid_t pid;

    SKIP_WITHOUT_LIBSSL(f);
    expect(f, "127.0.0.1", SRT_OUTCOME_ANSWERED, "");
    srt_loop_hold(f->rig->loop);
    pid = fork();
    if (pid == 0) {
        srt_loop_abandon(f->rig->loop);
        _exit(0);
    }
    srt_loop_release(f->rig->loop);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect(f, "127.0.0.1", SRT_OUTCOME_ANSWERED, "");
    assert_int_equal(handshakes(f), 1);
}

#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(keeps_a_connection),
        TLS_TEST(trusts_nobody_else),
        TLS_TEST(checks_the_host),
        TLS_TEST(notices_a_new_ca_file),
        TLS_TEST(speaks_no_old_version),
        TLS_TEST(a_childs_end_does_not_end_the_parents_connection),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* the server's; the loop's thread is deaf to it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
