#include "confirm_shift.h"
#include "decide.h"

#include <jansson.h>
#include <string.h>

/* The posterior that index/identity.c asks of a merge, whatever the policy. */
#define MERGE_OVER 0.9

static const char *const names[FW_PEOPLE_KINDS] = {"mislabeled", "outlier", "merge"};

/* ---- what was answered ------------------------------------------------------------------------------------------ */

static bool flagged(const fw_people *p, const fw_audit *a, size_t row)
{
    return a->score[row] > p->over && (a->verdict[row] == FW_RELABEL || a->verdict[row] == FW_REMOVE);
}

static int kind_of(const fw_audit *a, size_t row)
{
    return a->verdict[row] == FW_RELABEL ? FW_PEOPLE_MISLABELED : FW_PEOPLE_OUTLIER;
}

/* One answer per photo: its exact copies have the same face, and a photo may stand in several claims. */
static void hear_faces(fw_people *p, const fw_audit *machine)
{
    uint8_t *heard = FW_ARRAY(uint8_t, p->v->n);
    for (size_t k = 0; k < p->c->d->n; k++) {
        size_t n;
        const fw_claim_row *at = fw_claims_rows(p->c, k, 0, &n);
        if (p->c->d->claim[k].kind != FW_CLAIM_IS || !n) continue;
        size_t row = at->row;
        if (heard[row] || !p->confirmed[row] || !flagged(p, machine, row)) continue;
        heard[row] = 1;
        fw_answers_add(&p->answers[kind_of(machine, row)], (double)machine->score[row], p->confirmed[row] < 0);
    }
    fw_free(heard);
}

/* The label of a pair that the audit merges into the other one; FW_NO_LABEL: it does not. */
static uint32_t merged_of(const fw_audit *a, uint32_t one, uint32_t two)
{
    if (a->id_action[one] == FW_ID_MERGE && a->id_other[one] == two) return one;
    return a->id_action[two] == FW_ID_MERGE && a->id_other[two] == one ? two : FW_NO_LABEL;
}

static uint32_t merged_of_claim(const fw_people *p, const fw_audit *a, size_t k)
{
    if (p->c->d->claim[k].kind != FW_CLAIM_LABELS || !fw_claims_match(p->c, k)) return FW_NO_LABEL;
    return merged_of(a, p->c->label[2 * k], p->c->label[2 * k + 1]);
}

void fw_people_hear(fw_people *p, const fw_audit *machine)
{
    hear_faces(p, machine);
    for (size_t k = 0; k < p->c->d->n; k++) {
        uint32_t l = merged_of_claim(p, machine, k);
        if (l != FW_NO_LABEL)
            fw_answers_add(&p->answers[FW_PEOPLE_MERGE], (double)machine->id_score[l], p->c->d->claim[k].yes);
    }
}

void fw_people_free(fw_people *p)
{
    for (int k = 0; k < FW_PEOPLE_KINDS; k++) fw_answers_free(&p->answers[k]);
}

/* ---- what follows for the others -------------------------------------------------------------------------------- */

static void settle(fw_audit *a, size_t row, bool wrong)
{
    a->verdict[row] = wrong ? FW_REMOVE : FW_KEEP;
    a->outlier[row] = wrong;
    a->new_label[row] = FW_NO_LABEL;
    a->person[row] = 1;
}

/* `review` stays: two photos that do not agree are no more certain for what is known of others. */
static void shift_faces(const fw_people *p, fw_audit *a, const fw_shift *shift, size_t *changed)
{
    for (size_t i = 0; i < p->v->n; i++) {
        if (p->confirmed[i] || p->v->label[i] == FW_NO_LABEL || !fw_vectors_valid(p->vec, i)) continue;
        int kind = kind_of(a, i);
        bool was = (double)a->score[i] > p->over;
        float now = (float)fw_shift_apply(&shift[kind], (double)a->score[i]);
        if (!was && now > a->score[i]) continue; /* nobody was shown such photos (shifts.h) */
        a->score[i] = now;
        bool is = (double)a->score[i] > p->over;
        if (was == is || a->verdict[i] == FW_REVIEW) continue;
        settle(a, i, is);
        changed[kind]++;
    }
}

/* A merge that is no longer sure is for people to look at. */
static void shift_merges(const fw_people *p, fw_audit *a, const fw_shift *shift, size_t *changed)
{
    uint8_t *answered = FW_ARRAY(uint8_t, p->v->labels);
    for (size_t k = 0; k < p->c->d->n; k++) {
        uint32_t l = merged_of_claim(p, a, k);
        if (l != FW_NO_LABEL) answered[l] = 1;
    }
    for (size_t l = 0; l < p->v->labels; l++) {
        if (a->id_action[l] != FW_ID_MERGE || answered[l]) continue;
        a->id_score[l] = (float)fw_shift_apply(shift, (double)a->id_score[l]);
        if ((double)a->id_score[l] >= MERGE_OVER) continue;
        a->id_action[l] = FW_ID_REVIEW;
        ++*changed;
    }
    fw_free(answered);
}

/* An identity of which a photo is kept again is not dropped, one without a second person is not split. */
static void settle_identities(const fw_people *p, fw_audit *a)
{
    uint32_t *kept = FW_ARRAY(uint32_t, p->v->labels), *further = FW_ARRAY(uint32_t, p->v->labels);
    uint32_t *review = FW_ARRAY(uint32_t, p->v->labels), *images = FW_ARRAY(uint32_t, p->v->labels);
    for (size_t i = 0; i < p->v->n; i++) {
        uint32_t l = p->label[i];
        if (l == FW_NO_LABEL || !fw_vectors_valid(p->vec, i)) continue;
        images[l]++;
        kept[l] += a->verdict[i] == FW_KEEP;
        review[l] += a->verdict[i] == FW_REVIEW;
        further[l] += a->verdict[i] == FW_RELABEL && a->person[i] > 1;
    }
    for (size_t l = 0; l < p->v->labels; l++) {
        uint8_t *act = &a->id_action[l];
        if (*act == FW_ID_DROP && kept[l]) *act = FW_ID_KEEP;
        if (*act == FW_ID_SPLIT && !further[l]) *act = FW_ID_KEEP;
        if (*act == FW_ID_KEEP && !kept[l] && images[l]) *act = review[l] ? FW_ID_REVIEW : FW_ID_DROP;
    }
    fw_free(kept);
    fw_free(further);
    fw_free(review);
    fw_free(images);
}

struct json_t *fw_people_shift(const fw_people *p, fw_audit *a)
{
    fw_shift shift[FW_PEOPLE_KINDS];
    size_t changed[FW_PEOPLE_KINDS] = {0}, answers = 0;
    json_t *all = json_object();
    for (int k = 0; k < FW_PEOPLE_KINDS; k++) {
        shift[k] = fw_shift_fit(&p->answers[k]);
        answers += shift[k].n;
    }
    if (!answers) return all;
    shift_faces(p, a, shift, changed);
    shift_merges(p, a, &shift[FW_PEOPLE_MERGE], &changed[FW_PEOPLE_MERGE]);
    if (changed[FW_PEOPLE_MISLABELED] + changed[FW_PEOPLE_OUTLIER]) settle_identities(p, a);
    for (int k = 0; k < FW_PEOPLE_KINDS; k++)
        fw_shift_tell("confirm", names[k], &shift[k], k == FW_PEOPLE_MERGE ? MERGE_OVER : p->over, changed[k], all);
    return all;
}
