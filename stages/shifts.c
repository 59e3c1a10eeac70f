#include "shifts.h"
#include "../lib/log.h"

#include <jansson.h>
#include <math.h>

void fw_shift_tell(const char *stage, const char *kind, const fw_shift *s, double threshold, size_t changed,
                   struct json_t *all)
{
    if (!s->n) return;
    double now = fmax(fw_shift_threshold(s, threshold), threshold);
    fw_log(FW_INFO,
           "%s: curators' %zu answers on findings of kind '%s' (%zu agreed): threshold %.3f -> %.3f, %zu others change",
           stage, s->n, kind, s->agreed, threshold, now, changed);
    json_object_set_new(all, kind,
                        json_pack("{s:I, s:I, s:f, s:f, s:{s:f, s:f}, s:I}", "answers", (json_int_t)s->n, "agreed",
                                  (json_int_t)s->agreed, "shift", s->b, "ceiling", s->ceiling, "threshold", "machine",
                                  threshold, "now", now, "changed", (json_int_t)changed));
}
