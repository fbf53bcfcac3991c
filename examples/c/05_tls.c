/* A TLS server whose certificate is swapped on reload; running handshakes keep the old
 * context. */
#include <secretrt/secretrt.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static SSL_CTX *current;

static SSL_CTX *context_from(const struct secretrt_value *v)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    size_t nc = 0, nk = 0;
    const char *pc = secretrt_value_field(v, "certificate", &nc);
    const char *pk = secretrt_value_field(v, "private_key", &nk);
    BIO *bc = BIO_new_mem_buf(pc, (int)nc);
    BIO *bk = BIO_new_mem_buf(pk, (int)nk);
    X509 *cert = PEM_read_bio_X509(bc, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bk, NULL, NULL, NULL);

    if (cert == NULL || key == NULL || SSL_CTX_use_certificate(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, key) != 1) {
        SSL_CTX_free(ctx);
        ctx = NULL;
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    BIO_free(bc);
    BIO_free(bk);
    return ctx;
}

static int load(struct secretrt_secret *tls, struct secretrt_error *e)
{
    struct secretrt_value *v = NULL;
    SSL_CTX *fresh = NULL;

    if (secretrt_secret_read(&v, tls, e) != 0)
        return -1;
    fresh = context_from(v);
    secretrt_value_unref(v);
    if (fresh == NULL) {
        snprintf(e->message, sizeof(e->message), "tls: certificate or key unusable");
        return -1;
    }
    pthread_mutex_lock(&lock);
    SSL_CTX_free(current); /* counted: live SSL objects keep theirs */
    current = fresh;
    pthread_mutex_unlock(&lock);
    return 0;
}

/* Not 0: audited as a reload that failed. */
static int on_event(const struct secretrt_event *event, void *data)
{
    struct secretrt_error e;

    (void)data;
    return event->kind == SECRETRT_EVENT_RELOAD ? load(event->secret, &e) : 0;
}

/* Per connection. */
static SSL *accept_on(int fd)
{
    SSL *ssl = NULL;

    pthread_mutex_lock(&lock);
    ssl = SSL_new(current);
    pthread_mutex_unlock(&lock);
    SSL_set_fd(ssl, fd);
    return ssl;
}

int main(void)
{
    struct secretrt_secret_options o = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_client *client = NULL;
    struct secretrt_secret *tls = NULL;
    struct secretrt_error e;
    int rc;

    o.fields = "certificate private_key";
    o.on_event = on_event;
    o.sources = "vault://pki/issue/web?common_name=app.internal&ttl=24h";
    rc = secretrt_open(&client, NULL, &e);
    if (rc == 0)
        rc = secretrt_secret_open_with(&tls, client, "tls", &o, &e);
    if (rc == 0)
        rc = load(tls, &e);
    if (rc != 0)
        fprintf(stderr, "%s\n", e.message);
    else
        SSL_free(accept_on(0));
    secretrt_secret_close(tls);
    secretrt_close(client);
    SSL_CTX_free(current);
    return rc != 0;
}
