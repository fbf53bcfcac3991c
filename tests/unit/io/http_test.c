/* HTTP through the real loop against a real server on the loopback. */
#include "mem/arena.h"
#include "rig.h"
#include "support/server.h"

#define LARGE_LEN 200000

struct fixture {
    struct rig *rig;
    struct server *server;
    struct server *other; /* where a redirect points */
    int gate; /* requests at /gate that wait, guarded by the server's lock */
};

static void answer_chunks(int fd, size_t len)
{
    char chunk[1030];

    server_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    memcpy(chunk, "400\r\n", 5);
    memset(chunk + 5, 'x', 1024);
    for (size_t sent = 0; sent < len; sent += 1024) {
        server_send(fd, chunk, 5 + 1024);
        server_text(fd, "\r\n");
    }
    server_text(fd, "0\r\n\r\n");
}

static void answer_head(int fd, size_t lines)
{
    char line[1100];

    (void)snprintf(line, sizeof(line), "X-Fill: %01020d\r\n", 0);
    server_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    while (lines-- > 0)
        server_text(fd, line);
    server_text(fd, "\r\n");
}

static void answer_redirect(const struct fixture *f, int fd)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n"
                   "Location: http://127.0.0.1:%d/hello\r\n\r\n",
                   f->other->port);
    server_text(fd, text);
}

/* Answers nobody until four are here: they are four connections then. */
static void answer_gate(struct fixture *f, struct server *server, int fd)
{
    pthread_mutex_lock(&server->lock);
    f->gate++;
    pthread_cond_broadcast(&server->cond);
    while (f->gate < 4 && !server->stopping)
        pthread_cond_wait(&server->cond, &server->lock);
    pthread_mutex_unlock(&server->lock);
    server_answer(fd, "", "through");
}

static int path_is(const struct server_request *request, const char *path)
{
    const char *at = strchr(request->head, ' ');

    return at != NULL && strncmp(at + 1, path, strlen(path)) == 0 &&
           at[1 + strlen(path)] == ' ';
}

static int answer_broken(const struct server_request *request, int fd)
{
    if (path_is(request, "/cut"))
        server_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    else if (path_is(request, "/cut-chunk"))
        server_text(fd,
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nhalf");
    else if (path_is(request, "/cut-head"))
        server_text(fd, "HTTP/1.1 200 OK\r\nContent-Le");
    else if (path_is(request, "/bad-chunk"))
        server_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    else if (path_is(request, "/junk"))
        server_text(fd, "no http at all\r\n\r\n");
    else if (!path_is(request, "/nothing"))
        return 1;
    return 0;
}

static int answer(struct server *server, struct server_request *request, int fd)
{
    struct fixture *f = server->data;

    if (path_is(request, "/hello"))
        server_answer(fd, "Content-Type: Text/Plain; charset=utf-8\r\n", "hello");
    else if (path_is(request, "/large"))
        answer_chunks(fd, LARGE_LEN);
    else if (path_is(request, "/large-length"))
        server_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nxxx");
    else if (path_is(request, "/head"))
        answer_head(fd, 100);
    else if (path_is(request, "/hang"))
        server_hang(fd);
    else if (path_is(request, "/retry-seconds"))
        server_answer(fd, "Retry-After: 7\r\nX-Request-Id: id-\x01-7\r\n", "");
    else if (path_is(request, "/retry-date"))
        server_answer(fd,
                      "Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n"
                      "Retry-After: Tue, 15 Nov 1994 08:12:41 GMT\r\n",
                      "");
    else if (path_is(request, "/retry-junk"))
        server_answer(fd, "Retry-After: soon\r\n", "");
    else if (path_is(request, "/redirect"))
        answer_redirect(f, fd);
    else if (path_is(request, "/gate"))
        answer_gate(f, server, fd);
    else if (path_is(request, "/once") && request->nth == 1)
        server_answer(fd, "", "first");
    else if (path_is(request, "/once"))
        return 0; /* the connection dies under a request that was sent */
    else
        return answer_broken(request, fd);
    return 1;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->rig = rig_start();
    f->server = server_new(answer, f);
    f->other = server_new(answer, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    rig_free(f->rig);
    server_free(f->server);
    server_free(f->other);
    free(f);
    return 0;
}

/* Fetches and checks only how it ended. */
static void expect(struct fixture *f, const char *path, enum srt_outcome outcome,
                   int sent)
{
    struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, path);
    struct srt_reply *reply = fetch_now(fetch);

    assert_int_equal(reply->outcome, outcome);
    assert_int_equal(reply->sent, sent);
    assert_int_equal(reply->status, 0);
    assert_int_equal(reply->body.len, 0);
    assert_int_not_equal(reply->detail[0], '\0');
    fetch_free(fetch);
}

static void gets(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/hello");
    struct srt_reply *reply;

    srt_buf_text_add(&fetch->transfer.request.headers, "X-One: 1\nX-Two: 2\n");
    srt_secbuf_text_add(&fetch->transfer.request.secret_header, "X-Vault-Token: t0ken");
    reply = fetch_now(fetch);
    assert_int_equal(reply->outcome, SRT_OUTCOME_ANSWERED);
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->sent, 1);
    assert_string_equal(srt_secbuf_text(&reply->body), "hello");
    assert_true(srt_arena_owns(reply->body.data));
    assert_string_equal(reply->content_type, "text/plain");
    assert_int_equal(reply->retry_after_ms, -1);
    assert_int_equal(reply->date_ms, 0);
    assert_non_null(strstr(f->server->last_head, "GET /hello HTTP/1.1\r\n"));
    assert_non_null(strstr(f->server->last_head, "X-One: 1\r\nX-Two: 2\r\n"));
    assert_non_null(strstr(f->server->last_head, "X-Vault-Token: t0ken\r\n"));
    assert_null(strstr(f->server->last_head, "Content-Type"));
    assert_null(strstr(f->server->last_head, "Accept-Encoding"));
    fetch_free(fetch);
}

static void sends_a_body(struct fixture *f, const char *method, size_t len, int sized)
{
    struct fetch *fetch = fetch_http(f->rig, method, f->server->port, "/hello");
    struct srt_reply *reply;
    char *body = malloc(len + 1);
    char line[64];

    assert_non_null(body);
    for (size_t i = 0; i < len; i++)
        body[i] = (char)('a' + i % 26);
    body[len] = '\0';
    srt_secbuf_add(&fetch->transfer.request.body, body, len);
    fetch->transfer.request.sized = sized;
    reply = fetch_now(fetch);
    assert_int_equal(reply->outcome, SRT_OUTCOME_ANSWERED);
    assert_string_equal(f->server->last_body, body);
    (void)snprintf(line, sizeof(line), "%s /hello HTTP/1.1\r\n", method);
    assert_non_null(strstr(f->server->last_head, line));
    assert_non_null(strstr(f->server->last_head, "Content-Type: application/json\r\n"));
    assert_null(strstr(f->server->last_head, "Expect"));
    (void)snprintf(line, sizeof(line), "Content-Length: %zu\r\n", len);
    assert_int_equal(strstr(f->server->last_head, line) != NULL, sized);
    assert_int_equal(strstr(f->server->last_head, "chunked") != NULL, !sized);
    free(body);
    fetch_free(fetch);
}

static void sends_bodies(void **state)
{
    static const size_t len[] = {1, 17, 70000, 200000};

    for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
        sends_a_body(*state, "PUT", len[i], 0);
        sends_a_body(*state, "POST", len[i], 0);
        sends_a_body(*state, "POST", len[i], 1);
    }
}

static void sends_an_empty_body(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        struct fetch *fetch =
            fetch_http(f->rig, i == 0 ? "PUT" : "POST", f->server->port, "/hello");

        assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
        assert_non_null(strstr(f->server->last_head, "Content-Length: 0\r\n"));
        assert_null(strstr(f->server->last_head, "Content-Type"));
        assert_null(strstr(f->server->last_head, "chunked"));
        fetch_free(fetch);
    }
}

static void keeps_a_content_type_that_is_given(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_http(f->rig, "POST", f->server->port, "/hello");

    srt_buf_text_add(&fetch->transfer.request.headers, "Content-Type: a/b\n");
    srt_secbuf_text_add(&fetch->transfer.request.body, "x=1");
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
    assert_non_null(strstr(f->server->last_head, "Content-Type: a/b\r\n"));
    assert_null(strstr(f->server->last_head, "application/json"));
    fetch_free(fetch);
}

static void other_methods(void **state)
{
    static const char *const method[] = {"LIST", "DELETE", "HEAD"};
    struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        struct fetch *fetch =
            fetch_http(f->rig, method[i], f->server->port, "/retry-seconds");

        assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
        assert_memory_equal(f->server->last_head, method[i], strlen(method[i]));
        fetch_free(fetch);
    }
}

static void keeps_to_the_ceiling_of_a_body(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/large");

    fetch->transfer.request.max_len = LARGE_LEN / 2;
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_TOO_LARGE);
    assert_int_equal(fetch->transfer.reply.body.len, 0);
    assert_string_equal(fetch->transfer.reply.detail, "answer too large");
    fetch_free(fetch);
    fetch = fetch_http(f->rig, "GET", f->server->port, "/large");
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
    assert_in_range(fetch->transfer.reply.body.len, LARGE_LEN, LARGE_LEN + 1024);
    fetch_free(fetch);
    expect(f, "/large-length", SRT_OUTCOME_TOO_LARGE, 1);
}

static void keeps_to_the_ceiling_of_a_head(void **state)
{
    expect(*state, "/head", SRT_OUTCOME_TOO_LARGE, 1);
}

static void tells_a_truncated_answer(void **state)
{
    expect(*state, "/cut", SRT_OUTCOME_TRUNCATED, 1);
    expect(*state, "/cut-chunk", SRT_OUTCOME_TRUNCATED, 1);
    expect(*state, "/cut-head", SRT_OUTCOME_TRUNCATED, 1);
    expect(*state, "/bad-chunk", SRT_OUTCOME_TRUNCATED, 1);
    expect(*state, "/nothing", SRT_OUTCOME_UNREACHABLE, 1);
    expect(*state, "/junk", SRT_OUTCOME_UNREACHABLE, 1);
}

static void tells_a_refused_connection(void **state)
{
    struct fixture *f = *state;
    int port = 0;
    int fd = server_listen(&port, 1);
    struct fetch *fetch;

    (void)close(fd);
    fetch = fetch_http(f->rig, "GET", port, "/hello");
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_UNREACHABLE);
    assert_string_equal(fetch->transfer.reply.detail, "connection refused");
    assert_int_equal(fetch->transfer.reply.sent, 0);
    fetch_free(fetch);
}

static void tells_a_name_that_does_not_resolve(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_new(f->rig, SRT_REQUEST_HTTP, "https://name.invalid/x");

    fetch->transfer.request.timeout_ms = 1000;
    assert_in_range(fetch_now(fetch)->outcome, SRT_OUTCOME_UNREACHABLE,
                    SRT_OUTCOME_TIMEOUT);
    assert_int_equal(fetch->transfer.reply.sent, 0);
    fetch_free(fetch);
}

static void ends_in_time_at_a_black_hole(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch[6]; /* more than may be connected: two are put back */
    int64_t began_ms = srt_mono_ms();

    for (int i = 0; i < 6; i++) {
        fetch[i] = fetch_http(f->rig, "GET", f->server->port, "/hang");
        fetch[i]->transfer.request.timeout_ms = 200;
        fetch_begin(fetch[i]);
    }
    for (int i = 0; i < 6; i++) {
        assert_int_equal(fetch_await(fetch[i])->outcome, SRT_OUTCOME_TIMEOUT);
        fetch_free(fetch[i]);
    }
    assert_in_range(srt_mono_ms() - began_ms, 199, 2000);
}

static void reads_retry_after(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/retry-seconds");

    assert_int_equal(fetch_now(fetch)->retry_after_ms, 7000);
    assert_string_equal(fetch->transfer.reply.request_id, "id-?-7");
    fetch_free(fetch);
    fetch = fetch_http(f->rig, "GET", f->server->port, "/retry-date");
    assert_int_equal(fetch_now(fetch)->retry_after_ms, 10000);
    assert_int_equal(fetch->transfer.reply.date_ms, 784887151000);
    fetch_free(fetch);
    fetch = fetch_http(f->rig, "GET", f->server->port, "/retry-junk");
    assert_int_equal(fetch_now(fetch)->retry_after_ms, -1);
    fetch_free(fetch);
}

static void follows_no_redirect(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/redirect");
    struct srt_reply *reply;
    char where[64];

    srt_secbuf_text_add(&fetch->transfer.request.secret_header, "X-Vault-Token: t0ken");
    reply = fetch_now(fetch);
    assert_int_equal(reply->outcome, SRT_OUTCOME_ANSWERED);
    assert_int_equal(reply->status, 307);
    (void)snprintf(where, sizeof(where), "http://127.0.0.1:%d/hello", f->other->port);
    assert_string_equal(srt_buf_text(&reply->location), where);
    assert_int_equal(server_connections(f->other), 0);
    fetch_free(fetch);
}

static void refuse(struct fixture *f, const char *url)
{
    struct fetch *fetch = fetch_new(f->rig, SRT_REQUEST_HTTP, url);

    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_REFUSED);
    assert_int_equal(fetch->transfer.reply.sent, 0);
    assert_int_not_equal(fetch->transfer.reply.detail[0], '\0');
    fetch_free(fetch);
}

static void refuses_what_it_may_not_send(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch;

    refuse(f, "http://example.com/");
    refuse(f, "http://127.0.0.1.example.com/");
    refuse(f, "http://localhost.example.com/");
    refuse(f, "http://10.0.0.1/");
    refuse(f, "http://[fd00::1]/");
    refuse(f, "file:///etc/passwd");
    refuse(f, "ftp://127.0.0.1/");
    refuse(f, "");
    fetch = fetch_http(f->rig, "GET", f->server->port, "/hello");
    srt_secbuf_text_add(&fetch->transfer.request.secret_header, "X-T: a\r\nX-U: b");
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_REFUSED);
    fetch_free(fetch);
    assert_int_equal(server_requests(f->server), 0);
}

static void asks_no_proxy_for_a_loopback_host(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/hello");

    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(unsetenv("ALL_PROXY"), 0);
    fetch_free(fetch);
}

static void keeps_connections(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 5; i++) {
        struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/hello");

        assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
        fetch_free(fetch);
    }
    assert_int_equal(server_connections(f->server), 1);
    assert_int_equal(server_requests(f->server), 5);
}

static void repeats_once_on_a_stale_connection(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/once");

        assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
        assert_string_equal(srt_secbuf_text(&fetch->transfer.reply.body), "first");
        fetch_free(fetch);
    }
    assert_int_equal(server_connections(f->server), 2);
    assert_int_equal(server_requests(f->server), 3);
}

static void repeats_a_body_too(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        struct fetch *fetch = fetch_http(f->rig, "PUT", f->server->port, "/once");

        srt_secbuf_text_add(&fetch->transfer.request.body, "{\"a\":1}");
        assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
        assert_string_equal(f->server->last_body, "{\"a\":1}");
        fetch_free(fetch);
    }
    assert_int_equal(server_requests(f->server), 3);
}

static void repeats_nothing_that_may_not_happen_twice(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/once");

    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
    fetch_free(fetch);
    fetch = fetch_http(f->rig, "GET", f->server->port, "/once");
    fetch->transfer.request.idempotent = 0;
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_UNREACHABLE);
    assert_int_equal(fetch->transfer.reply.sent, 1);
    assert_int_equal(server_requests(f->server), 2);
    fetch_free(fetch);
}

static void opens_at_most_four_connections(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch[8];

    for (int i = 0; i < 8; i++) {
        fetch[i] = fetch_http(f->rig, "GET", f->server->port, "/gate");
        fetch_begin(fetch[i]);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(fetch_await(fetch[i])->outcome, SRT_OUTCOME_ANSWERED);
        fetch_free(fetch[i]);
    }
    assert_int_equal(server_connections(f->server), 4);
}

static void gives_a_request_up(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/hang");
    struct fetch *next = fetch_http(f->rig, "GET", f->server->port, "/hello");

    fetch_begin(fetch);
    pthread_mutex_lock(&f->server->lock);
    while (f->server->requests == 0)
        pthread_cond_wait(&f->server->cond, &f->server->lock);
    pthread_mutex_unlock(&f->server->lock);
    fetch_abort(fetch);
    assert_int_equal(fetch_now(next)->outcome, SRT_OUTCOME_ANSWERED);
    assert_int_equal(fetch->times, 0);
    fetch_free(fetch);
    fetch_free(next);
}

static void stops_with_requests_in_flight(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/hang");

    fetch_begin(fetch);
    pthread_mutex_lock(&f->server->lock);
    while (f->server->requests == 0)
        pthread_cond_wait(&f->server->cond, &f->server->lock);
    pthread_mutex_unlock(&f->server->lock);
    srt_loop_stop(f->rig->loop);
    assert_int_equal(fetch->times, 0);
    fetch_free(fetch);
}

#define IO_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IO_TEST(gets),
        IO_TEST(sends_bodies),
        IO_TEST(sends_an_empty_body),
        IO_TEST(keeps_a_content_type_that_is_given),
        IO_TEST(other_methods),
        IO_TEST(keeps_to_the_ceiling_of_a_body),
        IO_TEST(keeps_to_the_ceiling_of_a_head),
        IO_TEST(tells_a_truncated_answer),
        IO_TEST(tells_a_refused_connection),
        IO_TEST(tells_a_name_that_does_not_resolve),
        IO_TEST(ends_in_time_at_a_black_hole),
        IO_TEST(reads_retry_after),
        IO_TEST(follows_no_redirect),
        IO_TEST(refuses_what_it_may_not_send),
        IO_TEST(asks_no_proxy_for_a_loopback_host),
        IO_TEST(keeps_connections),
        IO_TEST(repeats_once_on_a_stale_connection),
        IO_TEST(repeats_a_body_too),
        IO_TEST(repeats_nothing_that_may_not_happen_twice),
        IO_TEST(opens_at_most_four_connections),
        IO_TEST(gives_a_request_up),
        IO_TEST(stops_with_requests_in_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
