/* decide.h: verdicts and flags, and the columns that meet in stage `decide`.
 *
 * Rows are dataset rows (view ""), n of them; label ids are those of the view; FW_NO_LABEL means none.
 *
 *   audit.score      f32 n   P(label is wrong), calibrated, 0..1
 *   audit.verdict    u8  n   enum fw_verdict
 *   audit.new_label  u32 n   for relabel: the identity that it matches; with audit.person > 1: its own label
 *   audit.person     u32 n   1: the identity's main person (or unknown); k > 1: its k-th person, exported as LABEL#k
 *   audit.outlier    u8  n   1: belongs to no identity (a stranger), as opposed to mislabeled
 *   audit.sim        f32 n   cosine to the identity's main centroid (leave-one-out)
 *   audit.other      u32 n   best other identity, audit.other_sim f32 n its cosine
 *   audit.id_images  u32 L   images with an embedding, per label (L = labels of the view)
 *   audit.id_cohesion f32 L  mean cosine of members to the main centroid
 *   audit.id_action  u8  L   enum fw_action
 *   audit.id_other   u32 L   merge: the identity it goes into
 *   audit.id_score   f32 L   confidence of the action, 0..1
 *   file audit.json          thresholds with how they were found, similarity histograms, noise rate with interval
 *
 *   dedupe.group     u32 n   group number, FW_NO_LABEL: none
 *   dedupe.kind      u8  n   0 none, 1 exact, 2 near
 *   dedupe.sim       f32 n   to the group's kept image
 *   dedupe.kept      u8  n   1: the image of its group that is best by quality
 *   dedupe.cross     u8  n   1: its group stands under several labels
 *
 *   overlap.label    u32 m   m findings: dataset label (FW_NO_LABEL: unlabelled)
 *   overlap.row      u32 m   dataset row (the closest image for identity findings)
 *   overlap.bench    u32 m   which benchmark (index in fw_task_benchmarks)
 *   overlap.bench_row u32 m  its row there
 *   overlap.sim      f32 m, overlap.score f32 m (P(same)), overlap.rule u8 m: 0 face, 1 name, 2 image
 *   file overlap.json        thresholds
 *
 *   cluster.id       i32 n   cluster of the unlabelled view, -1: alone or no embedding
 *   file cluster.json        threshold, method, counts
 */
#ifndef FW_DECIDE_H
#define FW_DECIDE_H

#include <stdint.h>

enum fw_verdict { FW_KEEP = 0, FW_REMOVE = 1, FW_RELABEL = 2, FW_REVIEW = 3 };
enum fw_action { FW_ID_KEEP = 0, FW_ID_MERGE = 1, FW_ID_SPLIT = 2, FW_ID_DROP = 3, FW_ID_REVIEW = 4 };
enum fw_dup_kind { FW_DUP_NONE = 0, FW_DUP_EXACT = 1, FW_DUP_NEAR = 2 };
/* Why this image of its duplicate group stays: the better photo; its label is likelier right than the others'; a
 * curator chose it; equal bytes under one label, the first of them. */
enum fw_why { FW_WHY_NONE = 0, FW_WHY_QUALITY = 1, FW_WHY_LABEL = 2, FW_WHY_CURATOR = 3, FW_WHY_FIRST = 4 };
/* What became of an overlap finding: nobody answered; a curator confirmed it, or said no; curators said no to so many
 * of its kind that it no longer counts (shifts.h). The last two condemn nothing. */
enum fw_finding { FW_FINDING_OPEN = 0, FW_FINDING_YES = 1, FW_FINDING_NO = 2, FW_FINDING_DOUBTED = 3 };
enum fw_rule { FW_RULE_FACE = 0, FW_RULE_NAME = 1, FW_RULE_IMAGE = 2 };

/* Bits of decide.flags, in the order of the export contract. */
enum fw_flag {
    FW_FLAG_MISLABELED = 1 << 0,
    FW_FLAG_OUTLIER = 1 << 1,
    FW_FLAG_EXACT_DUPLICATE = 1 << 2,
    FW_FLAG_NEAR_DUPLICATE = 1 << 3,
    FW_FLAG_LOW_QUALITY = 1 << 4,
    FW_FLAG_NO_FACE = 1 << 5,
    FW_FLAG_MULTI_FACE = 1 << 6,
    FW_FLAG_UNREADABLE = 1 << 7,
    FW_FLAG_OVERLAP = 1 << 8,
    FW_FLAG_SMALL_IDENTITY = 1 << 9
};
#define FW_FLAGS 10
extern const char *const fw_flag_names[FW_FLAGS];
extern const char *const fw_verdict_names[4];
extern const char *const fw_action_names[5];

#endif
