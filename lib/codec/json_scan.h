/* What the parser needs to know about the plain text: is it sound, what lies between
 * tokens, and where on which line. */
#ifndef SRT_CODEC_JSON_SCAN_H
#define SRT_CODEC_JSON_SCAN_H

#include <stddef.h>

struct srt_json_scan {
    const char *text;
    size_t len;
    unsigned comments;
    int status;
    const char *problem; /* fixed words */
    size_t at;           /* the place of line and column */
    unsigned line;
    unsigned column; /* in characters */
};

void srt_json_scan_init(struct srt_json_scan *scan, const char *text, size_t len,
                        unsigned comments);
/* What yajl lets pass or mends in silence: UTF-8 that is not, half a surrogate pair
 * (it becomes '?', or swallows what follows), control characters. 1: sound, *longest is
 * no less than the longest token; 0: status, problem and place are set. */
int srt_json_scan_check(struct srt_json_scan *scan, size_t *longest);
/* Skips white space, separators and comments from at on. */
size_t srt_json_scan_gap(const struct srt_json_scan *scan, size_t at);
/* Moves line and column forward to at. */
void srt_json_scan_to(struct srt_json_scan *scan, size_t at);

#endif
