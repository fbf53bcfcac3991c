/* An API key in a header, and what to do when the other side refuses it.
 * Usage: 03_curl URL [SECRET] */
#include <secretrt/secretrt.h>

#include <curl/curl.h>

#include <stdio.h>

static int call_api(long *status, CURL *c, const char *url,
                    const struct secretrt_value *key, struct secretrt_error *e)
{
    struct secretrt_value *header = NULL;
    struct curl_slist *list = NULL;

    *status = 0;
    if (secretrt_value_format(&header, key, "Authorization: Bearer {}", e) != 0)
        return -1;
    list = curl_slist_append(NULL, secretrt_value_text(header));
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
    if (curl_easy_perform(c) == CURLE_OK)
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, status);
    curl_slist_free_all(list);
    secretrt_value_unref(header);
    return 0;
}

int main(int argc, char **argv)
{
    struct secretrt_client *client = NULL;
    struct secretrt_secret *key = NULL;
    struct secretrt_value *v = NULL, *newer = NULL;
    struct secretrt_error e;
    const char *url = argc > 1 ? argv[1] : "https://api.example.com/v1/charges";
    const char *name = argc > 2 ? argv[2] : "stripe";
    CURL *c = curl_easy_init();
    long status = 0;
    int rc;

    if ((rc = secretrt_open(&client, NULL, &e)) == 0 &&
        (rc = secretrt_secret_open(&key, client, name, &e)) == 0 &&
        (rc = secretrt_secret_read(&v, key, &e)) == 0)
        rc = call_api(&status, c, url, v, &e);
    if (rc == 0 && (status == 401 || status == 403) &&
        /* ERR_UNCHANGED: the store holds the same key, no retry */
        (rc = secretrt_secret_reject(&newer, key, v, (int)status, &e)) == 0)
        rc = call_api(&status, c, url, newer, &e);
    if (rc != 0)
        fprintf(stderr, "%s\n", e.message);
    printf("%ld\n", status);
    secretrt_value_unref(newer);
    secretrt_value_unref(v);
    secretrt_secret_close(key);
    secretrt_close(client);
    curl_easy_cleanup(c);
    return rc != 0;
}
