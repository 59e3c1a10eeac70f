/* report: the folder WORK/report. Built in WORK/report.new, then renamed into place, so that a reader never sees half
 * of one. The room (report.max_bytes) goes to the queues first, a stretch of rows of each in turn, then to the pages of
 * identities; thumbnails are written last and end where the room ends. */
#include "report.h"
#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/paths.h"
#include "../lib/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Rows that a queue gets before the next one's turn: small, so that a small report has something of every queue. */
enum { STRETCH = 20 };

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

json_t *fw_rp_real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

void fw_rp_column(json_t *object, const char *name, json_t **column)
{
    json_object_set_new(object, name, *column = json_array());
}

json_t *fw_rp_text(const char *s, size_t n, json_t *hex, size_t index)
{
    fw_buf safe = {0}, digits = {0};
    fw_buf_puts(&safe, "");
    fw_text_utf8(&safe, s, n);
    if (hex && !fw_utf8_valid(s, n)) {
        char key[24];
        snprintf(key, sizeof key, "%zu", index);
        for (size_t i = 0; i < n; i++) fw_buf_printf(&digits, "%02x", (unsigned char)s[i]);
        json_object_set_new(hex, key, json_string(digits.data));
    }
    json_t *j = json_stringn(safe.data, safe.len);
    fw_buf_free(&safe);
    fw_buf_free(&digits);
    return j;
}

static int write_chunk(const char *text, size_t n, void *user)
{
    fw_out_write(user, text, n);
    return 0;
}

/* ASCII with every slash escaped: no </script>, no U+2028, whatever the names are. */
static int write_data(const char *path, const char *name, json_t *value, fw_err *e)
{
    fw_outfile *o = fw_out_open(path, e);
    if (!o) return e->code;
    fw_out_printf(o, "fw.data(\"%s\", ", name);
    bool ok = json_dump_callback(value, write_chunk, o,
                                 JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ESCAPE_SLASH | JSON_REAL_PRECISION(4)) == 0;
    fw_out_puts(o, ");\n");
    FW_TRY(fw_out_close(o, e));
    return ok ? FW_OK : fw_fail(e, FW_EFAIL, "write '%s': a value cannot be written as JSON", path);
}

static uint64_t size_of(const char *path)
{
    FILE *f = fopen(path, "rb");
    long n = f && !fseek(f, 0, SEEK_END) ? ftell(f) : 0;
    if (f) fclose(f);
    return n > 0 ? (uint64_t)n : 0;
}

int fw_rp_put(fw_rp *r, const char *name, json_t *value, fw_err *e)
{
    char *path = fw_format("%s/data/%s.js", r->dir, name);
    int rc = value ? write_data(path, name, value, e)
                   : fw_fail(e, FW_EFAIL, "write '%s': a value cannot be written as JSON", path);
    if (!rc) r->bytes += size_of(path);
    fw_free(path);
    json_decref(value);
    return rc;
}

/* ---- the page itself ------------------------------------------------------------------------------------------- */

static int copy_file(fw_rp *r, const char *from, const char *name, fw_err *e)
{
    char *source = fw_format("%s/%s", from, name), *to = fw_format("%s/%s", r->dir, name), *bytes = NULL;
    size_t n;
    int rc = fw_file_read(source, 64 << 20, &bytes, &n, e);
    if (!rc) rc = fw_file_write(to, bytes, n, e);
    r->bytes += n;
    fw_free(bytes);
    fw_free(source);
    fw_free(to);
    return rc;
}

static int copy_folder(fw_rp *r, const char *from, const char *folder, fw_err *e)
{
    fw_names names = {0};
    char *source = fw_format("%s/%s", from, folder), *to = fw_format("%s/%s", r->dir, folder);
    int rc = fw_mkdirs(to, e);
    if (!rc) rc = fw_list_dir(source, &names, e);
    for (size_t i = 0; !rc && i < names.n; i++) {
        char *name = fw_format("%s/%s", folder, names.name[i]);
        rc = copy_file(r, from, name, e);
        fw_free(name);
    }
    fw_names_free(&names);
    fw_free(source);
    fw_free(to);
    return rc;
}

static int copy_page(fw_rp *r, fw_err *e)
{
    char *share = fw_share_dir(e);
    if (!share) return e->code;
    char *from = fw_format("%s/reports", share), *data = fw_format("%s/data", r->dir),
         *sheets = fw_format("%s/sheets", r->dir);
    int rc = fw_mkdirs(data, e);
    if (!rc) rc = fw_mkdirs(sheets, e);
    if (!rc) rc = copy_file(r, from, "index.html", e);
    if (!rc) rc = copy_folder(r, from, "app", e);
    if (!rc) rc = copy_folder(r, from, "vendor", e);
    fw_free(from);
    fw_free(data);
    fw_free(sheets);
    fw_free(share);
    return rc;
}

/* ---- what goes in ---------------------------------------------------------------------------------------------- */

static void take_queues(fw_rp *r)
{
    bool open[FW_QUEUES], any = true;
    for (int q = 0; q < FW_QUEUES; q++) open[q] = r->queue[q].n > 0;
    while (any) {
        any = false;
        for (int q = 0; q < FW_QUEUES; q++) {
            fw_rp_list *l = &r->queue[q];
            for (int k = 0; open[q] && k < STRETCH; k++) {
                open[q] = l->shown < l->n && fw_rp_take_row(r, q, l->shown);
                l->shown += open[q];
            }
            any = any || open[q];
        }
    }
}

static int write_all(fw_rp *r, fw_err *e)
{
    FW_TRY(copy_page(r, e));
    r->face_limit = (size_t)((double)r->run->conf->report_max_bytes * 0.95 / FW_RP_FACE_BYTES);
    fw_rp_find(r);
    take_queues(r);
    fw_rp_take_people(r);
    for (int q = 0; q < FW_QUEUES; q++) FW_TRY(fw_rp_write_queue(r, q, e));
    FW_TRY(fw_rp_write_people(r, e));
    FW_TRY(fw_rp_write_identities(r, e));
    FW_TRY(fw_rp_write_faces(r, e));
    FW_TRY(fw_rp_write_sheets(r, e));
    return fw_rp_write_overview(r, e);
}

/* A folder cannot be replaced in one step; the moment between the two renames is the only one without a report. */
static int put_in_place(const char *fresh, const char *root, fw_err *e)
{
    char *place = fw_format("%s/report", root), *old = fw_format("%s/report.old", root);
    int rc = fw_remove_tree(old, e);
    if (!rc && fw_exists(place) && rename(place, old)) rc = fw_fail_errno(e, "rename '%s'", place);
    if (!rc && rename(fresh, place)) rc = fw_fail_errno(e, "rename '%s'", fresh);
    if (!rc) rc = fw_fsync_path(root, e);
    if (!rc) rc = fw_remove_tree(old, e);
    fw_free(place);
    fw_free(old);
    return rc;
}

int fw_report(fw_run *run, fw_err *e)
{
    fw_rp r = {.run = run, .task = fw_run_reader(run)};
    double start = fw_now();
    r.dir = fw_format("%s/report.new", run->store->root);
    int rc = fw_remove_tree(r.dir, e);
    if (!rc) rc = fw_mkdirs(r.dir, e);
    if (!rc) rc = fw_rp_load(&r, e);
    if (!rc) rc = write_all(&r, e);
    if (!rc) rc = put_in_place(r.dir, run->store->root, e);
    if (rc) fw_remove_tree(r.dir, NULL);
    if (!rc)
        fw_log(FW_INFO, "report: %s/report/index.html (%zu faces, %.1f MB, %.1f s)", run->store->root, r.faces,
               (double)r.bytes / 1e6, fw_now() - start);
    fw_rp_release(&r);
    return rc ? fw_context(e, "report") : FW_OK;
}

int fw_cmd_report(const fw_args *a, fw_err *e)
{
    fw_store *s;
    fw_run *r;
    int rc = fw_open_run(a, false, FW_LOCK_SHARED, &s, &r, e);
    if (!rc) rc = fw_report(r, e);
    fw_close_run(s, r);
    return rc;
}
