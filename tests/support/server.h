/* A small HTTP/1.1 server on a loopback port of its own: a thread per connection, a
 * handler per request. */
#ifndef TESTS_SUPPORT_SERVER_H
#define TESTS_SUPPORT_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER_CONNECTIONS_MAX 1024

struct server_request {
    char head[16384]; /* request line and headers */
    char body[262144];
    size_t body_len;
    int nth; /* on this connection, from 1 */
};

struct server;
/* Answers; 1: the connection stays. */
typedef int server_handler_fn(struct server *server, struct server_request *request,
                              int fd);

struct server {
    int fd;
    int port;
    server_handler_fn *handler;
    void *data;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t cond;
    pthread_t connection[SERVER_CONNECTIONS_MAX];
    int connection_fd[SERVER_CONNECTIONS_MAX];
    int connections; /* accepted so far */
    int requests;
    int stopping;
    char last_head[16384];
    char last_body[262144];
};

struct server_connection {
    struct server *server;
    int index;
    int fd;
};

static inline void server_send(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t put = send(fd, data, len, MSG_NOSIGNAL);

        if (put <= 0)
            return;
        data += put;
        len -= (size_t)put;
    }
}

static inline void server_text(int fd, const char *text)
{
    server_send(fd, text, strlen(text));
}

static inline void server_answer(int fd, const char *headers, const char *body)
{
    char head[4096];

    (void)snprintf(head, sizeof(head),
                   "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", strlen(body),
                   headers);
    server_text(fd, head);
    server_text(fd, body);
}

/* Waits until the peer closes. */
static inline void server_hang(int fd)
{
    char byte;

    while (recv(fd, &byte, 1, 0) > 0)
        continue;
}

static inline int server_byte(int fd)
{
    char byte;

    return recv(fd, &byte, 1, 0) == 1 ? (unsigned char)byte : -1;
}

/* One line into out with its end; 0: the connection ended. */
static inline size_t server_line(int fd, char *out, size_t cap)
{
    size_t len = 0;
    int byte = 0;

    while (len + 1 < cap && byte != '\n') {
        byte = server_byte(fd);
        if (byte < 0)
            return 0;
        out[len++] = (char)byte;
    }
    out[len] = '\0';
    return len;
}

static inline int server_read(int fd, struct server_request *request, size_t len)
{
    while (len > 0) {
        ssize_t got = recv(fd, request->body + request->body_len, len, 0);

        if (got <= 0)
            return 0;
        request->body_len += (size_t)got;
        len -= (size_t)got;
    }
    request->body[request->body_len] = '\0';
    return 1;
}

static inline int server_read_chunked(int fd, struct server_request *request)
{
    char line[64];

    for (;;) {
        size_t len;

        if (server_line(fd, line, sizeof(line)) == 0)
            return 0;
        len = strtoul(line, NULL, 16);
        if (len > 0 && !server_read(fd, request, len))
            return 0;
        if (server_line(fd, line, sizeof(line)) == 0)
            return 0;
        if (len == 0)
            return 1;
    }
}

static inline int server_read_request(int fd, struct server_request *request)
{
    size_t len = 0;
    size_t body_len = 0;
    int chunked = 0;

    request->body_len = 0;
    request->body[0] = '\0';
    for (;;) {
        char *line = request->head + len;
        size_t line_len = server_line(fd, line, sizeof(request->head) - len);

        if (line_len == 0)
            return 0;
        len += line_len;
        if (strncasecmp(line, "content-length:", 15) == 0)
            body_len = strtoul(line + 15, NULL, 10);
        if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0)
            chunked = 1;
        if (line_len <= 2)
            break;
    }
    request->nth++;
    return chunked ? server_read_chunked(fd, request)
                   : server_read(fd, request, body_len);
}

static inline void *server_serve(void *arg)
{
    struct server_connection *connection = arg;
    struct server *server = connection->server;
    struct server_request *request = calloc(1, sizeof(*request));

    while (request != NULL && server_read_request(connection->fd, request)) {
        pthread_mutex_lock(&server->lock);
        server->requests++;
        memcpy(server->last_head, request->head, sizeof(server->last_head));
        memcpy(server->last_body, request->body, request->body_len + 1);
        pthread_cond_broadcast(&server->cond);
        pthread_mutex_unlock(&server->lock);
        if (!server->handler(server, request, connection->fd))
            break;
    }
    pthread_mutex_lock(&server->lock);
    server->connection_fd[connection->index] = -1;
    (void)close(connection->fd);
    pthread_cond_broadcast(&server->cond);
    pthread_mutex_unlock(&server->lock);
    free(request);
    free(connection);
    return NULL;
}

static inline void *server_main(void *arg)
{
    struct server *server = arg;
    const int on = 1;

    for (;;) {
        int fd = accept(server->fd, NULL, NULL);
        struct server_connection *connection;

        if (fd < 0)
            return NULL;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        connection = malloc(sizeof(*connection));
        pthread_mutex_lock(&server->lock);
        if (connection == NULL || server->stopping ||
            server->connections == SERVER_CONNECTIONS_MAX)
            abort();
        *connection = (struct server_connection){server, server->connections, fd};
        server->connection_fd[server->connections] = fd;
        if (pthread_create(&server->connection[server->connections], NULL, server_serve,
                           connection) != 0)
            abort();
        server->connections++;
        pthread_mutex_unlock(&server->lock);
    }
}

/* A listening socket on a free port of 127.0.0.1. */
static inline int server_listen(int *port, int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, backlog) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        abort();
    *port = ntohs(address.sin_port);
    return fd;
}

static inline struct server *server_new(server_handler_fn *handler, void *data)
{
    struct server *server = calloc(1, sizeof(*server));

    if (server == NULL)
        abort();
    server->fd = server_listen(&server->port, 64);
    server->handler = handler;
    server->data = data;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->cond, NULL);
    if (pthread_create(&server->thread, NULL, server_main, server) != 0)
        abort();
    return server;
}

static inline int server_connections(struct server *server)
{
    int n;

    pthread_mutex_lock(&server->lock);
    n = server->connections;
    pthread_mutex_unlock(&server->lock);
    return n;
}

static inline int server_requests(struct server *server)
{
    int n;

    pthread_mutex_lock(&server->lock);
    n = server->requests;
    pthread_mutex_unlock(&server->lock);
    return n;
}

static inline void server_free(struct server *server)
{
    int i;

    (void)shutdown(server->fd, SHUT_RDWR);
    (void)pthread_join(server->thread, NULL);
    (void)close(server->fd);
    pthread_mutex_lock(&server->lock);
    server->stopping = 1;
    pthread_cond_broadcast(&server->cond);
    for (i = 0; i < server->connections; i++) {
        if (server->connection_fd[i] >= 0)
            (void)shutdown(server->connection_fd[i], SHUT_RDWR);
    }
    pthread_mutex_unlock(&server->lock);
    for (i = 0; i < server->connections; i++)
        (void)pthread_join(server->connection[i], NULL);
    pthread_cond_destroy(&server->cond);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

#endif
