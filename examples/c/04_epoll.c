/* One thread that never blocks: OPEN_NOWAIT makes read answer ERR_PENDING, and an event
 * follows. Usage: 04_epoll [SECRET] */
#include <secretrt/secretrt.h>

#include <stdio.h>
#include <sys/epoll.h>

static void serve(struct secretrt_secret *key, int upstream_status)
{
    const struct secretrt_value *v = NULL;
    struct secretrt_error e;

    if (secretrt_secret_borrow(&v, key, &e) != 0) {
        printf("503 %s\n",
               secretrt_status_name(e.status)); /* pending, unavailable, ... */
        return;
    }
    /* The upstream call goes here. */
    printf("calling with generation %llu\n",
           (unsigned long long)secretrt_value_info(v)->generation);
    /* With out NULL: reports, does not wait. */
    if (upstream_status == 401 && secretrt_secret_reject(NULL, key, v, 401, &e) != 0)
        fprintf(stderr, "%s\n", e.message);
    secretrt_value_return(v);
}

int main(int argc, char **argv)
{
    struct secretrt_options o = SECRETRT_OPTIONS_INIT;
    struct secretrt_client *client = NULL;
    struct secretrt_secret *key = NULL;
    struct secretrt_error e;
    struct epoll_event ev = {.events = EPOLLIN};
    int ep = epoll_create1(EPOLL_CLOEXEC);

    o.flags = SECRETRT_OPEN_NOWAIT;
    if (secretrt_open(&client, &o, &e) != 0 ||
        secretrt_secret_open(&key, client, argc > 1 ? argv[1] : "api", &e) != 0) {
        fprintf(stderr, "%s\n", e.message);
        secretrt_close(client);
        return 1;
    }
    ev.data.fd = secretrt_event_fd(client);
    epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev);
    while (epoll_wait(ep, &ev, 1, -1) >= 0) {
        struct secretrt_event s = SECRETRT_EVENT_INIT;
        while (secretrt_event_next(&s, client, 0) == 0) {
            printf("%s: %s\n", secretrt_event_name(s.kind), s.message);
            fflush(stdout);
            if (s.kind == SECRETRT_EVENT_READY || s.kind == SECRETRT_EVENT_RELOAD)
                serve(s.secret, 200);
        }
    }
    secretrt_secret_close(key);
    secretrt_close(client);
    return 0;
}
