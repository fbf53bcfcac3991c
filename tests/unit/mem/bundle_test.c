#include "base/alloc.h"
#include "base/status.h"
#include "child.h"
#include "mem/arena.h"
#include "mem/bundle.h"
#include "mem/secbuf.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t used(void)
{
    struct srt_arena_stats stats;

    srt_arena_stats_get(&stats);
    return stats.used + stats.large;
}

static int add(struct srt_bundle *bundle, const char *name, const char *text)
{
    return srt_bundle_add(bundle, name, strlen(name), text, strlen(text));
}

static struct srt_bundle *sealed(const char *user, const char *password)
{
    struct srt_bundle *bundle = NULL;

    assert_int_equal(srt_bundle_new(&bundle), 0);
    assert_int_equal(add(bundle, "username", user), 0);
    assert_int_equal(add(bundle, "password", password), 0);
    assert_int_equal(srt_bundle_seal(bundle), 0);
    return bundle;
}

static void sorts_and_finds(void **state)
{
    struct srt_bundle *bundle = NULL;
    const char *data = NULL;
    size_t len = 99;

    (void)state;
    assert_int_equal(srt_bundle_new(&bundle), 0);
    assert_int_equal(add(bundle, "zone", "eu"), 0);
    assert_int_equal(srt_bundle_add(bundle, "key-and-more", 3, "a\0b", 3), 0);
    assert_int_equal(add(bundle, "empty", ""), 0);
    assert_int_equal(add(bundle, "keys", "both"), 0);
    assert_null(srt_bundle_at(bundle, 0, NULL));
    assert_null(srt_bundle_field(bundle, "zone", NULL));
    assert_int_equal(srt_bundle_seal(bundle), 0);
    assert_int_equal(srt_bundle_seal(bundle), 0);

    assert_int_equal(srt_bundle_count(bundle), 4);
    assert_string_equal(srt_bundle_name(bundle, 0), "empty");
    assert_string_equal(srt_bundle_name(bundle, 1), "key");
    assert_string_equal(srt_bundle_name(bundle, 2), "keys");
    assert_string_equal(srt_bundle_name(bundle, 3), "zone");
    assert_null(srt_bundle_name(bundle, 4));
    assert_null(srt_bundle_at(bundle, 4, &len));
    data = srt_bundle_field(bundle, "key", &len);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "a\0b", 4);
    assert_int_equal(srt_arena_owns(data), 1);
    assert_string_equal(srt_bundle_at(bundle, 0, &len), "");
    assert_int_equal(len, 0);
    assert_string_equal(srt_bundle_field(bundle, "zone", NULL), "eu");
    assert_string_equal(srt_bundle_field(bundle, "keys", NULL), "both");
    assert_null(srt_bundle_field(bundle, "ke", NULL));
    assert_null(srt_bundle_field(bundle, "", NULL));
    srt_bundle_unref(bundle);
    srt_bundle_unref(NULL);
    assert_int_equal(used(), 0);
}

static void refuses(void **state)
{
    static char big[SRT_SECBUF_MAX];
    struct srt_bundle *bundle = NULL;
    char name[16];

    (void)state;
    assert_int_equal(srt_bundle_new(&bundle), 0);
    assert_int_equal(add(bundle, "a", "1"), 0);
    assert_int_equal(add(bundle, "a", "2"), SECRETRT_ERR_PROTOCOL);
    assert_int_equal(srt_bundle_add(bundle, "x\0y", 3, "1", 1), SECRETRT_ERR_PROTOCOL);
    for (int i = 1; i < SRT_BUNDLE_FIELDS_MAX; i++) {
        snprintf(name, sizeof(name), "a%d", i);
        assert_int_equal(add(bundle, name, name), 0);
    }
    assert_int_equal(add(bundle, "one-more", ""), SECRETRT_ERR_PROTOCOL);
    assert_int_equal(srt_bundle_seal(bundle), 0);
    assert_int_equal(add(bundle, "late", ""), SECRETRT_ERR_INVALID);
    assert_int_equal(srt_bundle_count(bundle), SRT_BUNDLE_FIELDS_MAX);
    for (int i = 1; i < SRT_BUNDLE_FIELDS_MAX; i++) {
        snprintf(name, sizeof(name), "a%d", i);
        assert_string_equal(srt_bundle_field(bundle, name, NULL), name);
    }
    srt_bundle_unref(bundle);

    assert_int_equal(srt_bundle_new(&bundle), 0);
    assert_int_equal(srt_bundle_add(bundle, "big", 3, big, sizeof(big)),
                     SECRETRT_ERR_PROTOCOL);
    assert_int_equal(srt_bundle_count(bundle), 0);
    srt_bundle_unref(bundle);
    assert_int_equal(used(), 0);
}

static void an_empty_one_is_fine(void **state)
{
    struct srt_bundle *bundle = NULL;

    (void)state;
    assert_int_equal(srt_bundle_new(&bundle), 0);
    assert_int_equal(srt_bundle_seal(bundle), 0);
    assert_int_equal(srt_bundle_count(bundle), 0);
    assert_null(srt_bundle_at(bundle, 0, NULL));
    assert_null(srt_bundle_field(bundle, "a", NULL));
    assert_int_equal(srt_bundle_equal(bundle, bundle), 1);
    srt_bundle_unref(bundle);
}

static void compares(void **state)
{
    struct srt_bundle *a = sealed("u", "one");
    struct srt_bundle *same = sealed("u", "one");
    struct srt_bundle *other = sealed("u", "two");
    struct srt_bundle *longer = sealed("u", "one!");

    (void)state;
    assert_int_equal(srt_bundle_equal(a, a), 1);
    assert_int_equal(srt_bundle_equal(a, same), 1);
    assert_int_equal(srt_bundle_equal(a, other), 0);
    assert_int_equal(srt_bundle_equal(a, longer), 0);
    srt_bundle_unref(a);
    srt_bundle_unref(same);
    srt_bundle_unref(other);
    srt_bundle_unref(longer);
}

__attribute__((noinline, no_sanitize("address"))) static int byte_of(const char *data)
{
    return *(const volatile char *)data;
}

static void wipes_at_the_last_reference(void **state)
{
    struct srt_bundle *bundle = sealed("SSSS", "SSSS");
    const char *data = srt_bundle_field(bundle, "password", NULL);

    (void)state;
    assert_ptr_equal(srt_bundle_ref(bundle), bundle);
    srt_bundle_unref(bundle);
    assert_int_equal(byte_of(data), 'S');
    srt_bundle_unref(bundle);
    assert_int_equal(byte_of(data), 0);
    assert_int_equal(used(), 0);
}

static void *ref_and_unref(void *data)
{
    for (int i = 0; i < 20000; i++)
        srt_bundle_unref(srt_bundle_ref(data));
    srt_bundle_unref(data);
    return NULL;
}

static void is_counted_by_any_thread(void **state)
{
    struct srt_bundle *bundle = sealed("u", "p");
    pthread_t thread[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        srt_bundle_ref(bundle);
        assert_int_equal(pthread_create(&thread[i], NULL, ref_and_unref, bundle), 0);
    }
    srt_bundle_unref(bundle);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(used(), 0);
}

struct family {
    struct srt_bundle *done;
    struct srt_bundle *begun;
};

static void in_the_child(void *data)
{
    struct family *parents = data;
    struct srt_bundle *own = NULL;
    size_t len = 0;

    CHECK(srt_bundle_count(parents->done) == 2);
    CHECK(strcmp(srt_bundle_name(parents->done, 0), "password") == 0);
    CHECK(srt_bundle_at(parents->done, 0, &len) == NULL);
    CHECK(srt_bundle_field(parents->done, "password", &len) == NULL);
    CHECK(srt_bundle_equal(parents->done, parents->done) == 0);
    CHECK(add(parents->begun, "b", "2") == SECRETRT_ERR_FORKED);
    CHECK(srt_bundle_seal(parents->begun) == SECRETRT_ERR_FORKED);
    CHECK(srt_bundle_new(&own) == 0);
    CHECK(add(own, "a", "child's") == 0);
    CHECK(srt_bundle_seal(own) == 0);
    srt_bundle_unref(parents->done);
    srt_bundle_unref(parents->begun);
    CHECK(strcmp(srt_bundle_field(own, "a", NULL), "child's") == 0);
    srt_bundle_unref(own);
}

static void a_child_sees_no_bytes(void **state)
{
    struct family family = {sealed("u", "p"), NULL};

    (void)state;
    assert_int_equal(srt_bundle_new(&family.begun), 0);
    assert_int_equal(add(family.begun, "a", "1"), 0);
    assert_int_equal(child_run(in_the_child, &family), 0);
    assert_string_equal(srt_bundle_field(family.done, "password", NULL), "p");
    srt_bundle_unref(family.done);
    srt_bundle_unref(family.begun);
    assert_int_equal(used(), 0);
}

static size_t heap_until_failure;

static void *heap_alloc(size_t len, void *data)
{
    (void)data;
    if (heap_until_failure != 0 && --heap_until_failure == 0)
        return NULL;
    return malloc(len);
}

static void heap_release(void *ptr, void *data)
{
    (void)data;
    free(ptr);
}

static int build(void)
{
    struct srt_bundle *bundle = NULL;
    int rc = srt_bundle_new(&bundle);

    for (char name = 'a'; rc == 0 && name < 'k'; name++)
        rc = srt_bundle_add(bundle, &name, 1, "0123456789", 10);
    if (rc == 0)
        rc = srt_bundle_seal(bundle);
    srt_bundle_unref(bundle);
    return rc;
}

static void fails_cleanly_at_each_allocation(void **state)
{
    const struct srt_allocator heap = {heap_alloc, heap_release, NULL};
    int failures = 0;
    int rc = -1;

    (void)state;
    srt_allocator_set(&heap); /* what is allocated already came from malloc, too */
    for (size_t n = 1; rc != 0; n++, failures++) {
        heap_until_failure = n;
        rc = build();
        assert_true(rc == 0 || rc == SECRETRT_ERR_NOMEM);
        assert_int_equal(used(), 0);
    }
    srt_allocator_set(NULL);
    assert_true(failures > 10);
    failures = 0;
    rc = -1;
    for (size_t n = 1; rc != 0; n++, failures++) {
        srt_arena_fail_after(n);
        rc = build();
        assert_true(rc == 0 || rc == SECRETRT_ERR_NOMEM);
        assert_int_equal(used(), 0);
    }
    srt_arena_fail_after(0);
    assert_true(failures > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_and_finds),
        cmocka_unit_test(refuses),
        cmocka_unit_test(an_empty_one_is_fine),
        cmocka_unit_test(compares),
        cmocka_unit_test(wipes_at_the_last_reference),
        cmocka_unit_test(is_counted_by_any_thread),
        cmocka_unit_test(a_child_sees_no_bytes),
        cmocka_unit_test(fails_cleanly_at_each_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
