/* shifts: thresholds that move with curators' answers (index/shift.h), as the stages confirm and decide report them.
 *
 *   kind        a finding's P                what an answer says of it              the threshold it moves
 *   mislabeled  audit.score, relabelled      is the label wrong?                    audit.policy's
 *   outlier     audit.score, removed         the same                               audit.policy's
 *   merge       audit.id_score               are the two labels one person?         .9
 *   overlap     overlap.score, rule face     are the two faces one person?          audit.policy's, as of a wrong label
 *   duplicate   near copies: see decide_copies.c   are the two one photo?           .5
 *
 * A threshold only rises. Answers are about findings, all of which lie above it: that many are confirmed says that the
 * others above it are right too, and nothing of photos below, which nobody was shown. Letting it fall was tried on LFW
 * with degraded photos, 30 % noise, a third of the flags answered: .5 -> .30 and .2 -> .07 found 4 and 0 more wrong
 * labels among the others and flagged 4 and 8 right ones.
 *
 * Relabelled and removed are two kinds, though both ask whether the label is wrong: a relabelled photo has another
 * identity's word for it, a removed one only its own label's silence, and it is the second that hard photos (profiles,
 * hands before the face) are mistaken for. Who relabels a photo to somebody else than the machine did, or only says
 * that it is not this person, agrees that the label is wrong. A photo that is not flagged follows the second,
 * downwards. Splits have no shift: their confidence is a constant, their photos are judged one by one.
 * Copies of the rules `image` and `name` of overlap have no probability.
 */
#ifndef FW_SHIFTS_H
#define FW_SHIFTS_H

#include "../index/shift.h"

struct json_t;

/* Adds {kind: {answers, agreed, shift, ceiling, threshold: {machine, now}, changed}} to `all` and says it in the log;
 * does nothing without answers. `threshold`: on P; `changed`: findings without an answer that come out otherwise. */
void fw_shift_tell(const char *stage, const char *kind, const fw_shift *s, double threshold, size_t changed,
                   struct json_t *all);

#endif
