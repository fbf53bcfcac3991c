/* What a read of Vault or OpenBao granted: dynamic credentials with a lease, or a value
 * kept there (KV v1 and v2, static roles). Source: /api-docs/secret/databases and
 * /api-docs/secret/kv of both. */
#include "base/status.h"
#include "codec/text.h"
#include "tier2_dynamic/vault.h"
#include <string.h>

#define VAULT_GRANT_REFRESH_MS (5LL * 60 * 1000)
#define VAULT_GRANT_MARGIN_MS 1000 /* after the rotation of a static role */
#define VAULT_GRANT_LEASE_ID_MAX 1024
#define VAULT_GRANT_END_MAX_S 253402300799LL /* the year 9999 */

/* A field as text: strings as they are, lists of strings one a line, the rest as JSON.
 */
static void vault_grant_value(struct srt_secbuf *out, const struct srt_json *doc,
                              srt_json_ref node)
{
    srt_json_ref item = 0;
    const char *text = NULL;
    size_t len = 0;

    if (srt_json_type(doc, node) == SRT_JSON_ARRAY) {
        item = srt_json_first(doc, node);
        while (item != 0 && srt_json_type(doc, item) == SRT_JSON_STRING)
            item = srt_json_next(doc, item);
    }
    if (srt_json_type(doc, node) == SRT_JSON_OBJECT || item != 0) {
        srt_json_write(out, doc, node);
        return;
    }
    if (srt_json_type(doc, node) != SRT_JSON_ARRAY) {
        text = srt_json_text(doc, node, &len);
        srt_secbuf_add(out, text, len);
        return;
    }
    for (item = srt_json_first(doc, node); item != 0; item = srt_json_next(doc, item)) {
        if (out->len > 0)
            srt_secbuf_char(out, '\n');
        text = srt_json_text(doc, item, &len);
        srt_secbuf_add(out, text, len);
    }
}

/* What tells the time of a static role differs at each read and is no part of it. */
static int vault_grant_is_clockwork(const char *name)
{
    return strcmp(name, "ttl") == 0 || strcmp(name, "last_vault_rotation") == 0;
}

static int vault_grant_bundle(struct srt_bundle *bundle, const struct srt_json *doc,
                              srt_json_ref data, int static_role)
{
    srt_json_ref node = srt_json_first(doc, data);
    struct srt_secbuf value;
    size_t name_len = 0;
    const char *name;
    int status = 0;

    srt_secbuf_init(&value, SRT_SECBUF_MAX);
    for (; status == 0 && node != 0; node = srt_json_next(doc, node)) {
        name = srt_json_key(doc, node, &name_len);
        if (srt_json_type(doc, node) == SRT_JSON_NULL ||
            (static_role && vault_grant_is_clockwork(name)))
            continue;
        vault_grant_value(&value, doc, node);
        status = value.status;
        if (status == 0)
            status = srt_bundle_add(bundle, name, name_len, srt_secbuf_text(&value),
                                    value.len);
        srt_secbuf_wipe(&value);
    }
    srt_secbuf_wipe(&value);
    return status != 0 ? status : srt_bundle_seal(bundle);
}

static enum srt_step vault_grant_take(struct srt_exchange *x,
                                      const struct srt_json *doc, srt_json_ref data,
                                      int static_role)
{
    struct srt_bundle *bundle = NULL;
    int status = srt_bundle_new(&bundle);

    if (status == 0)
        status = vault_grant_bundle(bundle, doc, data, static_role);
    if (status == 0 && srt_bundle_count(bundle) > 0) {
        x->grant.bundle = bundle;
        return SRT_DONE;
    }
    srt_bundle_unref(bundle);
    if (status == SECRETRT_ERR_NOMEM)
        return srt_vault_nomem(x);
    return srt_vault_senseless(x, SRT_VAULT_READ,
                               status == 0
                                   ? "the secret has no fields"
                                   : "too many fields, or a name that can't be");
}

/* Tier 2: made for this request, with its own end. */
static enum srt_step vault_grant_lease(struct srt_exchange *x,
                                       const struct srt_json *doc, srt_json_ref data)
{
    struct srt_grant *grant = &x->grant;
    size_t len = 0;
    const char *id =
        srt_json_text(doc, srt_json_get(doc, SRT_JSON_ROOT, "lease_id"), &len);

    if (len > VAULT_GRANT_LEASE_ID_MAX || memchr(id, '\0', len) != NULL)
        return srt_vault_senseless(x, SRT_VAULT_READ, "the lease_id is not a lease ID");
    if (srt_vault_seconds(&grant->ttl_ms, doc,
                          srt_json_get(doc, SRT_JSON_ROOT, "lease_duration")) != 0)
        return srt_vault_senseless(x, SRT_VAULT_READ,
                                   "lease_duration is not a number of seconds");
    if (srt_vault_flag(&grant->renewable, doc,
                       srt_json_get(doc, SRT_JSON_ROOT, "renewable")) != 0)
        return srt_vault_senseless(x, SRT_VAULT_READ, "renewable is not true or false");
    srt_buf_add(&grant->lease_id, id, len);
    if (grant->lease_id.status != 0)
        return srt_vault_nomem(x);
    grant->tier = 2;
    grant->revocable = 1;
    return vault_grant_take(x, doc, data, 0);
}

/* KV v2 keeps the fields one level down. 1: it is one. */
static int vault_grant_is_versioned(const struct srt_json *doc, srt_json_ref data)
{
    enum srt_json_type inner = srt_json_type(doc, srt_json_get(doc, data, "data"));

    return srt_json_path(doc, data, "metadata.version") != 0 &&
           srt_json_get(doc, data, "data") != 0 &&
           (inner == SRT_JSON_OBJECT || inner == SRT_JSON_NULL);
}

/* When a static role must be read again: after its next rotation. 0: it is none. */
static int64_t vault_grant_rotation_ms(const struct srt_json *doc, srt_json_ref data)
{
    int64_t ttl_ms = 0;

    if ((srt_json_get(doc, data, "rotation_period") == 0 &&
         srt_json_get(doc, data, "rotation_schedule") == 0) ||
        srt_vault_seconds(&ttl_ms, doc, srt_json_get(doc, data, "ttl")) != 0)
        return 0;
    return ttl_ms + VAULT_GRANT_MARGIN_MS;
}

/* The end of an issued certificate as a Unix time in ms. 0: it is none. */
static int64_t vault_grant_certificate_ms(const struct srt_json *doc, srt_json_ref data)
{
    int64_t end_s = 0;

    if (srt_json_type(doc, srt_json_get(doc, data, "certificate")) != SRT_JSON_STRING ||
        srt_json_int(&end_s, doc, srt_json_get(doc, data, "expiration"), 1,
                     VAULT_GRANT_END_MAX_S) != 0)
        return 0;
    return end_s * 1000;
}

/* Without a lease: issued for this request, with an end of its own (tier 2), or kept in
 * the store and read again from time to time (tier 3). What a POST makes is not made
 * again at a whim. */
static enum srt_step vault_grant_kept(struct srt_exchange *x,
                                      const struct srt_json *doc, srt_json_ref data)
{
    const char *refresh = srt_ref_option(x->ref, "_refresh");
    int64_t rotation_ms = vault_grant_rotation_ms(doc, data);
    struct srt_grant *grant = &x->grant;
    const char *version;

    grant->ttl_ms = -1;
    grant->not_after_wall_ms = vault_grant_certificate_ms(doc, data);
    grant->tier = grant->not_after_wall_ms != 0 ? 2 : 3;
    grant->refresh_ms = srt_vault_posts(x->ref) ? 0 : VAULT_GRANT_REFRESH_MS;
    if (refresh != NULL)
        (void)srt_duration_parse(&grant->refresh_ms,
                                 refresh); /* the plan looked at it */
    if (rotation_ms > 0 && (refresh == NULL || rotation_ms < grant->refresh_ms))
        grant->refresh_ms = rotation_ms;
    grant->rotates = rotation_ms > 0 && grant->refresh_ms == rotation_ms;
    if (!vault_grant_is_versioned(doc, data))
        return vault_grant_take(x, doc, data, rotation_ms > 0);
    if (srt_json_type(doc, srt_json_get(doc, data, "data")) == SRT_JSON_NULL) {
        (void)srt_step_fail(x, SRT_CLASS_NOT_FOUND,
                            "vault: this version was deleted: undelete it, or write a "
                            "new one");
        return srt_vault_failed(x);
    }
    version = srt_json_text(doc, srt_json_path(doc, data, "metadata.version"), NULL);
    if (version != NULL)
        srt_text_clean(grant->version, sizeof(grant->version), version,
                       strlen(version));
    return vault_grant_take(x, doc, srt_json_get(doc, data, "data"), 0);
}

enum srt_step srt_vault_grant(struct srt_exchange *x, const struct srt_json *doc)
{
    srt_json_ref data = srt_json_get(doc, SRT_JSON_ROOT, "data");
    srt_json_ref lease = srt_json_get(doc, SRT_JSON_ROOT, "lease_id");
    size_t len = 0;

    if (srt_json_type(doc, srt_json_get(doc, SRT_JSON_ROOT, "wrap_info")) !=
        SRT_JSON_NULL)
        return srt_vault_senseless(x, SRT_VAULT_READ,
                                   "the answer is wrapped: a policy of the server asks "
                                   "for it (min_wrapping_ttl)");
    if (srt_json_type(doc, srt_json_get(doc, SRT_JSON_ROOT, "auth")) != SRT_JSON_NULL)
        return srt_vault_senseless(x, SRT_VAULT_READ,
                                   "the answer is a login, not a secret");
    if (srt_json_type(doc, data) != SRT_JSON_OBJECT)
        return srt_vault_senseless(x, SRT_VAULT_READ, "the answer holds no data");
    if (srt_json_type(doc, lease) == SRT_JSON_STRING)
        (void)srt_json_text(doc, lease, &len);
    else if (srt_json_type(doc, lease) != SRT_JSON_NULL)
        return srt_vault_senseless(x, SRT_VAULT_READ, "the lease_id is not a lease ID");
    return len > 0 ? vault_grant_lease(x, doc, data) : vault_grant_kept(x, doc, data);
}
