/* decisions: what curators decided, as an append-only log of JSON lines, and the claims that stand in it.
 *
 * A decision is one line. It is about an item (a name for what was asked), has an answer, and carries claims, which say
 * the same in terms of content hashes and labels alone and so stay true after renames, new images and new models:
 *
 *   {"format":"facewash-decision-1","id":"...","when":"2026-01-31T12:00:00Z","who":"anna","queue":"mislabeled",
 *    "item":"label:HASH:LABEL","answer":"y","claims":[{"face":HASH,"label":LABEL,"is":false}]}
 *
 *   {"face": HASH, "label": L, "is": true|false}           this face is (not) the person L
 *   {"face": HASH, "use": true|false}                      keep this image whatever its quality / do not use it
 *   {"faces": [HASH, HASH], "same_person": true|false}     two faces are (not) one person (also across a benchmark)
 *   {"images": [KEPT, OTHER], "same_image": true|false}    two images are (not) copies; KEPT is the one to keep
 *   {"labels": [L, INTO], "same_person": true|false}       two identities are (not) one person
 *
 * HASH is the XXH3-128 of the file in 32 hex digits, L the label's text or {"hex": "bytes"}. Of several lines about one
 * item the latest one stands (by its `when` to the second; of equal ones the last line), so that the order in which
 * saved files are put together does not matter; answer "u" takes it back. A line that is damaged (a crash in mid-write,
 * an editor) is counted and passed over, the rest stands.
 *
 * Writing is one write(2) of whole lines under a file lock, then fsync: several servers may append to one log.
 */
#ifndef FW_DECISIONS_H
#define FW_DECISIONS_H

#include "hash.h"

typedef enum { FW_CLAIM_IS, FW_CLAIM_USE, FW_CLAIM_FACES, FW_CLAIM_IMAGES, FW_CLAIM_LABELS } fw_claim_kind;

typedef struct fw_claim {
    fw_claim_kind kind;
    bool yes;           /* is, use, same */
    fw_hash a, b;       /* IS, USE: a; FACES, IMAGES: both */
    char *label, *into; /* IS: label; LABELS: both; bytes as the dataset has them */
    size_t decision;    /* number of the decision that it belongs to */
    uint32_t who;       /* whose: index into `who` of fw_decisions */
} fw_claim;

typedef struct fw_decisions {
    fw_claim *claim; /* those that stand, in the order in which they were made */
    size_t n, cap;
    size_t standing; /* decisions */
    size_t damaged;  /* lines passed over */
    char **who;      /* curators, in the order of their first decision that stands */
    size_t curators, who_cap;
} fw_decisions;

/* Read every log in a folder: `decisions` and all *.jsonl, in order of their names. A missing folder is an empty log.
 */
int fw_decisions_read(const char *folder, fw_decisions *out, fw_err *e) FW_MUST_USE;
void fw_decisions_free(fw_decisions *d);

/* Check lines from outside and append them to `path` with the time of now. All or nothing: FW_EUSAGE says what is wrong
 * with the first bad line. *n receives how many were added. */
int fw_decisions_append(const char *path, const char *lines, size_t bytes, size_t *n, fw_err *e) FW_MUST_USE;
/* Add the lines of a file that the report saved to the log `path` in `folder`, as they are. A line whose id stands in
 * one of the folder's logs already is known and left out. A bad line is refused: `refuse` hears of it (line numbers
 * from 1), the others go in. Nothing is written when the file cannot be read. */
typedef struct fw_import {
    size_t added, known, refused;
} fw_import;
typedef void (*fw_refuse)(void *user, const char *file, size_t line, const char *why);
int fw_decisions_import(const char *folder, const char *path, const char *file, fw_refuse refuse, void *user,
                        fw_import *out, fw_err *e) FW_MUST_USE;
/* Whole lines of a log from byte `after` on, at most about 4 MB, appended to `out`. */
int fw_decisions_tail(const char *path, uint64_t after, fw_buf *out, fw_err *e) FW_MUST_USE;

#endif
