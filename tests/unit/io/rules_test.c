/* Hosts, heads of answers, and spellings of TLS files: no network. */
#include "base/buf.h"
#include "io/http_rules.h"
#include "io/tls_files.h"
#include <secretrt/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void tells_hosts_apart(void **state)
{
    static const struct {
        const char *host;
        enum srt_host_kind kind;
        int literal;
    } host[] = {
        {"localhost", SRT_HOST_LOOPBACK, 0},
        {"LOCALHOST", SRT_HOST_LOOPBACK, 0},
        {"127.0.0.1", SRT_HOST_LOOPBACK, 1},
        {"127.255.3.4", SRT_HOST_LOOPBACK, 1},
        {"[::1]", SRT_HOST_LOOPBACK, 1},
        {"[0:0:0:0:0:0:0:1]", SRT_HOST_LOOPBACK, 1},
        {"169.254.169.254", SRT_HOST_METADATA, 1},
        {"169.254.170.23", SRT_HOST_METADATA, 1},
        {"[fd00:ec2::254]", SRT_HOST_METADATA, 1},
        {"Metadata.Google.Internal", SRT_HOST_METADATA, 0},
        {"169.254.1.1", SRT_HOST_LINK_LOCAL, 1},
        {"[fe80::1%25eth0]", SRT_HOST_LINK_LOCAL, 1},
        {"127.0.0.1.example.com", SRT_HOST_PUBLIC, 0},
        {"127.1", SRT_HOST_PUBLIC, 0},
        {"0.0.0.0", SRT_HOST_PUBLIC, 1},
        {"169.254.169.254.nip.io", SRT_HOST_PUBLIC, 0},
        {"[::]", SRT_HOST_PUBLIC, 1},
        {"[]", SRT_HOST_PUBLIC, 1},
        {"", SRT_HOST_PUBLIC, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(host) / sizeof(host[0]); i++) {
        assert_int_equal(srt_host_kind(host[i].host), host[i].kind);
        assert_int_equal(srt_host_is_literal(host[i].host), host[i].literal);
    }
}

static void plain_http_only_where_nobody_listens(void **state)
{
    (void)state;
    assert_true(srt_http_allowed("https", SRT_HOST_PUBLIC));
    assert_true(srt_http_allowed("HTTP", SRT_HOST_LOOPBACK));
    assert_true(srt_http_allowed("http", SRT_HOST_METADATA));
    assert_false(srt_http_allowed("http", SRT_HOST_LINK_LOCAL));
    assert_false(srt_http_allowed("http", SRT_HOST_PUBLIC));
    assert_false(srt_http_allowed("ftp", SRT_HOST_LOOPBACK));
    assert_false(srt_http_allowed("httpsx", SRT_HOST_PUBLIC));
}

static int line(struct srt_http_head *head, const char *text)
{
    return srt_http_head_line(head, text, strlen(text));
}

static void reads_a_head(void **state)
{
    struct srt_http_head head = {.len = 0};

    (void)state;
    assert_int_equal(line(&head, "HTTP/1.1 100 Continue\r\n"), 0);
    assert_int_equal(line(&head, "Retry-After: 1\r\n"), 0);
    assert_int_equal(line(&head, "\r\n"), 0);
    assert_int_equal(head.ended, 1);
    assert_int_equal(line(&head, "HTTP/1.1 200 OK\r\n"), 0);
    assert_int_equal(head.ended, 0);
    assert_string_equal(head.retry_after, "");
    assert_int_equal(line(&head, "content-TYPE:\tApplication/JSON ; x=y\r\n"), 0);
    assert_int_equal(line(&head, "X-Amzn-RequestId:  a\x7f"
                                 "b \r\n"),
                     0);
    assert_int_equal(line(&head, "X-Request-Id: second\r\n"), 0);
    assert_int_equal(line(&head, "Date:\r\n"), 0);
    assert_int_equal(line(&head, "Dated: x\r\n"), 0);
    assert_int_equal(line(&head, ":\r\n"), 0);
    assert_int_equal(line(&head, "\r\n"), 0);
    assert_string_equal(head.content_type, "application/json");
    assert_string_equal(head.request_id, "a?b");
    assert_string_equal(head.date, "");
    assert_int_equal(head.began, 1);
    assert_int_equal(head.ended, 1);
}

static void a_head_has_a_ceiling(void **state)
{
    struct srt_http_head head = {.len = 0};
    char text[1024];

    (void)state;
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < SRT_HTTP_HEAD_MAX / sizeof(text); i++)
        assert_int_equal(srt_http_head_line(&head, text, sizeof(text)), 0);
    assert_int_equal(line(&head, "\n"), SECRETRT_ERR_PROTOCOL);
    assert_int_equal(line(&head, "HTTP/1.1 200 OK\r\n"), SECRETRT_ERR_PROTOCOL);
}

static void counts_retry_after(void **state)
{
    (void)state;
    assert_int_equal(srt_http_retry_seconds("0"), 0);
    assert_int_equal(srt_http_retry_seconds("120"), 120);
    assert_int_equal(srt_http_retry_seconds("99999999999999999999999"), 86400);
    assert_int_equal(srt_http_retry_seconds(""), -1);
    assert_int_equal(srt_http_retry_seconds("-1"), -1);
    assert_int_equal(srt_http_retry_seconds("1.5"), -1);
    assert_int_equal(srt_http_retry_until(11000, 1000), 10);
    assert_int_equal(srt_http_retry_until(11001, 1000), 11);
    assert_int_equal(srt_http_retry_until(1000, 11000), 0);
    assert_int_equal(srt_http_retry_until(4102444800000, 0), 86400);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void notices_changed_files(void **state)
{
    char dir[] = "/tmp/srt-tls-XXXXXX";
    char ca[64];
    char key[64];
    char next[64];
    struct srt_tls_files files;
    struct srt_tls tls = {.ca_file = ca, .client_key_file = key};
    struct srt_tls other = {.ca_file = ca};

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(ca, sizeof(ca), "%s/ca", dir);
    (void)snprintf(key, sizeof(key), "%s/key", dir);
    (void)snprintf(next, sizeof(next), "%s/next", dir);
    write_file(ca, "one");
    srt_tls_files_init(&files);
    assert_int_equal(srt_tls_generation(&files, &tls), 0);
    assert_int_equal(srt_tls_generation(&files, &tls), 0);
    write_file(next, "two"); /* of the same length, over it */
    assert_int_equal(rename(next, ca), 0);
    assert_int_equal(srt_tls_generation(&files, &tls), 1);
    assert_int_equal(srt_tls_generation(&files, &tls), 1);
    write_file(key, "appears");
    assert_int_equal(srt_tls_generation(&files, &tls), 2);
    assert_int_equal(unlink(key), 0);
    assert_int_equal(srt_tls_generation(&files, &tls), 3);
    assert_int_equal(srt_tls_generation(&files, &other), 0);
    assert_int_equal(unlink(ca), 0);
    assert_int_equal(srt_tls_generation(&files, &other), 1);
    assert_int_equal(rmdir(dir), 0);
    srt_tls_files_wipe(&files);
}

static void each_generation_spells_a_path_its_own_way(void **state)
{
    enum { COUNT = 300 };
    char *seen[COUNT];
    struct stat plain;
    struct stat spelled;

    (void)state;
    assert_int_equal(stat("/etc/passwd", &plain), 0);
    for (int i = 0; i < COUNT; i++) {
        struct srt_buf buf;

        srt_buf_init(&buf, 0);
        srt_tls_spell(&buf, "/etc/passwd", i);
        assert_int_equal(stat(srt_buf_text(&buf), &spelled), 0);
        assert_int_equal(plain.st_ino, spelled.st_ino);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(seen[j], srt_buf_text(&buf));
        seen[i] = strdup(srt_buf_text(&buf));
        srt_buf_wipe(&buf);
    }
    assert_string_equal(seen[0], "/etc/passwd");
    for (int i = 0; i < COUNT; i++)
        free(seen[i]);
}

static void a_relative_path_stays_one(void **state)
{
    struct srt_buf buf;

    (void)state;
    srt_buf_init(&buf, 0);
    srt_tls_spell(&buf, "ca.pem", 0);
    srt_buf_char(&buf, ' ');
    srt_tls_spell(&buf, "ca.pem", 2);
    assert_string_equal(srt_buf_text(&buf), "ca.pem .//./ca.pem");
    srt_buf_wipe(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_hosts_apart),
        cmocka_unit_test(plain_http_only_where_nobody_listens),
        cmocka_unit_test(reads_a_head),
        cmocka_unit_test(a_head_has_a_ceiling),
        cmocka_unit_test(counts_retry_after),
        cmocka_unit_test(notices_changed_files),
        cmocka_unit_test(each_generation_spells_a_path_its_own_way),
        cmocka_unit_test(a_relative_path_stays_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
