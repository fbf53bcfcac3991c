#include "observe/inventory.h"
#include "codec/json.h"
#include <string.h>

/* The course text's targets: shares of the secrets that a workload uses. */
struct inventory_target {
    const char *name;
    int at_least; /* 1: more than `percent`; 0: at most */
    unsigned percent;
    const char *text;
};

static const struct inventory_target inventory_targets[SRT_TIERS + 1] = {
    {"none live", 0, 100, ""},
    {"1 workload identity", 1, 70, "> 70 %"},
    {"2 dynamic lease", 1, 25, "> 25 %"},
    {"3 static store", 0, 5, "< 5 %"},
    {"4 environment, config", 0, 0, "0 %"},
};

void srt_inventory_init(struct srt_inventory *inventory, int json)
{
    memset(inventory, 0, sizeof(*inventory));
    srt_buf_init(&inventory->rows, 0);
    inventory->json = json;
}

void srt_inventory_wipe(struct srt_inventory *inventory)
{
    srt_buf_wipe(&inventory->rows);
}

static void inventory_text(struct srt_buf *out, const char *key, const char *text)
{
    srt_buf_format(out, "\"%s\":", key);
    srt_json_quote_plain(out, text, strlen(text));
    srt_buf_char(out, ',');
}

static void inventory_row_json(struct srt_buf *out, const struct srt_status *status)
{
    srt_buf_text_add(out, out->len > 0 ? ",{" : "{");
    inventory_text(out, "name", status->name);
    inventory_text(out, "source", status->source);
    inventory_text(out, "state", status->state);
    srt_buf_format(out, "\"tier\":%d,\"weakest_tier\":%d,\"generation\":%llu,",
                   (int)status->tier, (int)status->weakest_tier,
                   (unsigned long long)status->generation);
    if (status->left_ms != INT64_MAX)
        srt_buf_format(out, "\"left_s\":%lld,", (long long)(status->left_ms / 1000));
    srt_buf_format(out, "\"renewals\":%u,\"reads\":%llu}", status->renewals,
                   (unsigned long long)status->reads);
}

static void inventory_row(struct srt_buf *out, const struct srt_status *status)
{
    char left[32] = "-";

    if (status->tier != 0 && status->left_ms != INT64_MAX) {
        struct srt_buf text;

        srt_buf_init(&text, sizeof(left) - 1);
        srt_buf_format(&text, "%lld s", (long long)(status->left_ms / 1000));
        srt_text_copy(left, sizeof(left), srt_buf_text(&text));
        srt_buf_wipe(&text);
    }
    srt_buf_format(out, "%-24s %4d %7d %10llu %10s %8u %10llu  %s\n", status->name,
                   (int)status->tier, (int)status->weakest_tier,
                   (unsigned long long)status->generation, left, status->renewals,
                   (unsigned long long)status->reads, status->source);
}

void srt_inventory_add(const struct srt_status *status, void *data)
{
    struct srt_inventory *inventory = data;
    int tier = status->tier >= 0 && status->tier <= SRT_TIERS ? status->tier : 0;

    inventory->count[tier]++;
    inventory->total++;
    if (inventory->json)
        inventory_row_json(&inventory->rows, status);
    else
        inventory_row(&inventory->rows, status);
}

static double inventory_share(const struct srt_inventory *inventory, int tier)
{
    return inventory->total > 0
               ? 100.0 * (double)inventory->count[tier] / (double)inventory->total
               : 0.0;
}

static int inventory_met(const struct srt_inventory *inventory, int tier)
{
    const struct inventory_target *target = &inventory_targets[tier];
    double share = inventory_share(inventory, tier);

    return target->at_least ? share > target->percent : share <= target->percent;
}

static void inventory_write_json(struct srt_buf *out,
                                 const struct srt_inventory *inventory)
{
    srt_buf_text_add(out, "{\"tiers\":[");
    for (int tier = 1; tier <= SRT_TIERS; tier++)
        srt_buf_format(
            out, "%s{\"tier\":%d,\"secrets\":%u,\"share\":%.1f,\"target_met\":%s}",
            tier > 1 ? "," : "", tier, inventory->count[tier],
            inventory_share(inventory, tier),
            inventory_met(inventory, tier) ? "true" : "false");
    srt_buf_format(out, "],\"not_live\":%u,\"secrets\":[%s]}", inventory->count[0],
                   srt_buf_text(&inventory->rows));
}

void srt_inventory_write(struct srt_buf *out, const struct srt_inventory *inventory)
{
    if (inventory->json) {
        inventory_write_json(out, inventory);
        return;
    }
    srt_buf_format(out, "%-24s %8s %8s  %s\n", "TIER", "SECRETS", "SHARE", "TARGET");
    for (int tier = 1; tier <= SRT_TIERS; tier++)
        srt_buf_format(out, "%-24s %8u %6.1f %%  %-7s %s\n",
                       inventory_targets[tier].name, inventory->count[tier],
                       inventory_share(inventory, tier), inventory_targets[tier].text,
                       inventory_met(inventory, tier) ? "ok" : "missed");
    srt_buf_format(out, "\n%-24s %4s %7s %10s %10s %8s %10s  %s\n%s", "SECRET", "TIER",
                   "WEAKEST", "GENERATION", "LEFT", "RENEWALS", "READS", "SOURCE",
                   srt_buf_text(&inventory->rows));
}

/* ---- configuration ---- */

static void inventory_quoted(struct srt_buf *out, const char *text)
{
    srt_json_quote_plain(out, text, strlen(text));
}

static void inventory_list(struct srt_buf *out, char *const *text, size_t n)
{
    srt_buf_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            srt_buf_char(out, ',');
        inventory_quoted(out, text[i]);
    }
    srt_buf_char(out, ']');
}

static void inventory_store(struct srt_buf *out, const struct srt_store_config *store)
{
    inventory_quoted(out, store->name);
    srt_buf_text_add(out, ":{");
    for (size_t i = 0; i < store->values; i++) {
        const struct srt_store_value *value = &store->value[i];

        if (i > 0)
            srt_buf_char(out, ',');
        inventory_quoted(out, value->setting->name);
        srt_buf_text_add(out, ":{\"value\":");
        if (value->n == 1)
            inventory_quoted(out, value->text[0]);
        else
            inventory_list(out, value->text, value->n);
        srt_buf_text_add(out, ",\"from\":");
        inventory_quoted(out, value->origin != NULL ? value->origin : "");
        srt_buf_char(out, '}');
    }
    srt_buf_char(out, '}');
}

static void inventory_secret(struct srt_buf *out,
                             const struct srt_secret_config *secret)
{
    inventory_quoted(out, secret->name);
    srt_buf_text_add(out, ":{\"sources\":");
    inventory_list(out, secret->source, secret->sources);
    srt_buf_text_add(out, ",\"fields\":");
    inventory_list(out, secret->field, secret->fields);
    srt_buf_format(
        out, ",\"overlap_ms\":%lld,\"refresh_ms\":%lld,\"lazy\":%s,\"verify\":%s}",
        (long long)secret->overlap_ms, (long long)secret->refresh_ms,
        secret->lazy ? "true" : "false", secret->verify ? "true" : "false");
}

void srt_config_report(struct srt_buf *out, const struct srt_config *config)
{
    srt_buf_text_add(out, "{\"stores\":{");
    for (size_t i = 0; i < config->stores; i++) {
        if (i > 0)
            srt_buf_char(out, ',');
        inventory_store(out, &config->store[i]);
    }
    srt_buf_text_add(out, "},\"secrets\":{");
    for (size_t i = 0; i < config->secrets; i++) {
        if (i > 0)
            srt_buf_char(out, ',');
        inventory_secret(out, &config->secret[i]);
    }
    srt_buf_format(
        out, "},\"policy\":{\"weakest_tier\":%d,\"weakest_credential_tier\":%d},",
        (int)config->policy.weakest_tier, (int)config->policy.weakest_credential_tier);
    srt_buf_text_add(out, "\"audit\":{\"file\":");
    inventory_quoted(out, config->audit.file != NULL ? config->audit.file : "");
    srt_buf_format(out, ",\"required\":%s}}",
                   config->audit.required ? "true" : "false");
}
