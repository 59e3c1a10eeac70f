/* npy, feat: embeddings that were made elsewhere, instead of photos. Key: the row, from 0.
 *
 *   npy:EMB.npy,LABELS.txt      N x D float16, float32 or float64 (numpy.save); one label per line, or "name TAB label"
 *   npy:EMB.npy                 the same without labels
 *   feat:FEATURES.bin,LABELS.meta   N x D float32 without a header, D = size / 4 / lines of LABELS.meta
 * (learn-to-cluster)
 *
 * A record is a fw_vector_record: the row as float32, L2-normalised. A row of zeros, or with a NaN or an infinity in
 * it, cannot be read: a bad image. Memory: nothing per row.
 */
#include "file.h"
#include "half.h"
#include "source_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 65536 /* of an .npy: a few hundred bytes in practice */

typedef struct vectors {
    fw_bytes file;
    FILE *labels;
    char *line;
    size_t cap;
    uint64_t begin, rows, at; /* offset of row 0 */
    int dim, size;            /* bytes of a value: 2, 4, 8 */
} vectors;

/* ---- the header of an .npy (numpy.lib.format) -----------------------------------------------------------------------
 */

static const char *skip(const char *p, const char *blank)
{
    return p + strspn(p, blank);
}

/* "(12, 512)" or "(12, 512,)" */
static bool parse_shape(const char *p, uint64_t *rows, uint64_t *dim)
{
    char *end;
    if (*p++ != '(' || (p = skip(p, " "), *p < '0' || *p > '9')) return false;
    *rows = strtoull(p, &end, 10);
    p = skip(end, " ");
    if (*p++ != ',' || (p = skip(p, " "), *p < '0' || *p > '9')) return false;
    *dim = strtoull(p, &end, 10);
    p = skip(end, " ");
    if (*p == ',') p = skip(p + 1, " ");
    return *p == ')';
}

/* The value behind 'key': in the dictionary. */
static const char *value_of(const char *dict, const char *key)
{
    char *quoted = fw_format("'%s':", key);
    const char *at = strstr(dict, quoted);
    const char *value = at ? skip(at + strlen(quoted), " ") : NULL;
    fw_free(quoted);
    return value;
}

static int parse_dict(vectors *v, const char *dict, fw_err *e)
{
    const char *type = value_of(dict, "descr"), *order = value_of(dict, "fortran_order"),
               *shape = value_of(dict, "shape");
    uint64_t dim = 0;
    if (!type || !order || !shape)
        return fw_fail(e, FW_EUSAGE, "open '%s': not an .npy of one plain array", v->file.path);
    v->size = !strncmp(type, "'<f2'", 5) ? 2 : !strncmp(type, "'<f4'", 5) ? 4 : !strncmp(type, "'<f8'", 5) ? 8 : 0;
    if (!v->size)
        return fw_fail(e, FW_EUSAGE,
                       "open '%s': values of type %.8s; float16, float32 or float64 (little endian) are read",
                       v->file.path, type);
    if (strncmp(order, "False", 5))
        return fw_fail(e, FW_EUSAGE, "open '%s': stored column by column (fortran_order)", v->file.path);
    if (!parse_shape(shape, &v->rows, &dim) || !dim || dim > FW_VECTOR_MAX)
        return fw_fail(e, FW_EUSAGE, "open '%s': shape %.40s; N x D with D up to %d is read", v->file.path, shape,
                       FW_VECTOR_MAX);
    v->dim = (int)dim;
    uint64_t row = dim * (uint64_t)v->size, have = v->file.size - v->begin;
    if (v->rows > have / row)
        return fw_fail(
            e, FW_EFAIL, "open '%s': %llu rows of %llu bytes from offset %llu on reach behind the end of the file",
            v->file.path, (unsigned long long)v->rows, (unsigned long long)row, (unsigned long long)v->begin);
    return FW_OK;
}

static int open_npy_file(vectors *v, fw_err *e)
{
    unsigned char head[12] = {0};
    if (v->file.size < sizeof head || fw_bytes_read(&v->file, 0, head, sizeof head, e) ||
        memcmp(head, "\x93NUMPY", 6) || head[6] < 1 || head[6] > 3)
        return fw_fail(e, FW_EUSAGE, "open '%s': not an .npy file", v->file.path);
    size_t at = head[6] == 1 ? 10 : 12;
    uint64_t n = head[8] | (uint64_t)head[9] << 8;
    if (head[6] > 1) n |= (uint64_t)head[10] << 16 | (uint64_t)head[11] << 24;
    if (n > HEADER_MAX || n > v->file.size - at)
        return fw_fail(e, FW_EFAIL, "open '%s': a header of %llu bytes", v->file.path, (unsigned long long)n);
    char *dict = fw_alloc((size_t)n + 1, 1);
    v->begin = at + n;
    int rc = fw_bytes_read(&v->file, at, dict, (size_t)n, e);
    if (!rc) rc = parse_dict(v, dict, e);
    fw_free(dict);
    return rc;
}

/* ---- opening
 * ----------------------------------------------------------------------------------------------------------- */

static int count_lines(vectors *v, uint64_t *lines, fw_err *e)
{
    char block[65536];
    size_t n;
    char last = '\n';
    *lines = 0;
    while ((n = fread(block, 1, sizeof block, v->labels)) > 0) {
        for (size_t i = 0; i < n; i++) *lines += block[i] == '\n';
        last = block[n - 1];
    }
    *lines += last != '\n';
    if (ferror(v->labels)) return fw_fail_errno(e, "read labels of '%s'", v->file.path);
    rewind(v->labels);
    return FW_OK;
}

static int open_labels(fw_source *s, const char *path, uint64_t *lines, fw_err *e)
{
    vectors *v = s->state;
    char *real = fw_source_file_path(s->format->scheme, path, e);
    if (!real) return e->code;
    v->labels = fopen(real, "re");
    char *spec = fw_format("%s,%s", s->spec, real);
    fw_free(s->spec);
    s->spec = spec;
    int rc = v->labels ? count_lines(v, lines, e) : fw_fail_errno(e, "open '%s'", real);
    free(real);
    return rc;
}

/* "EMB,LABELS": the last comma that a readable file stands behind. */
static int open_pair(fw_source *s, const char *path, bool *labelled, uint64_t *lines, fw_err *e)
{
    vectors *v = s->state = FW_NEW(vectors);
    v->file.fd = -1;
    const char *comma = strrchr(path, ',');
    *labelled = comma && comma > path && !fw_exists(path);
    char *file = *labelled ? fw_format("%.*s", (int)(comma - path), path) : fw_strdup(path);
    char *real = fw_source_file_path(s->format->scheme, file, e);
    fw_free(file);
    if (!real) return e->code;
    s->spec = fw_format("%s:%s", s->format->scheme, real);
    int rc = fw_bytes_open(&v->file, real, e);
    free(real);
    if (!rc && *labelled) rc = open_labels(s, comma + 1, lines, e);
    return rc;
}

static int open_npy(fw_source *s, const char *path, fw_err *e)
{
    bool labelled;
    uint64_t lines = 0;
    FW_TRY(open_pair(s, path, &labelled, &lines, e));
    vectors *v = s->state;
    FW_TRY(open_npy_file(v, e));
    if (labelled && lines != v->rows)
        return fw_fail(e, FW_EUSAGE, "open source '%s': %llu labels for %llu rows", s->spec, (unsigned long long)lines,
                       (unsigned long long)v->rows);
    return FW_OK;
}

static int open_feat(fw_source *s, const char *path, fw_err *e)
{
    bool labelled;
    uint64_t lines = 0;
    FW_TRY(open_pair(s, path, &labelled, &lines, e));
    vectors *v = s->state;
    if (!labelled) return fw_fail(e, FW_EUSAGE, "open source '%s': give feat:FEATURES.bin,LABELS.meta", s->spec);
    uint64_t dim = lines ? v->file.size / 4 / lines : 0;
    if (!dim || dim > FW_VECTOR_MAX || dim * 4 * lines != v->file.size)
        return fw_fail(e, FW_EUSAGE,
                       "open source '%s': %llu bytes are no float32 matrix of %llu rows (the lines of the .meta)",
                       s->spec, (unsigned long long)v->file.size, (unsigned long long)lines);
    v->rows = lines;
    v->dim = (int)dim;
    v->size = 4;
    return FW_OK;
}

static void close_vectors(fw_source *s)
{
    vectors *v = s->state;
    if (!v) return;
    if (v->labels) fclose(v->labels);
    fw_bytes_close(&v->file);
    free(v->line);
    fw_free(v);
}

/* ---- records
 * ----------------------------------------------------------------------------------------------------------- */

static int next_row(fw_source *s, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    vectors *v = s->state;
    if (v->at == v->rows) return 0;
    if (v->labels) {
        if (getline(&v->line, &v->cap, v->labels) < 0) {
            fw_fail(e, FW_EFAIL, "read labels of '%s': they end before row %llu", s->spec, (unsigned long long)v->at);
            return -1;
        }
        v->line[strcspn(v->line, "\r\n")] = 0;
        const char *tab = strrchr(v->line, '\t');
        fw_buf_puts(&s->label, tab ? tab + 1 : v->line);
    }
    fw_buf_printf(&s->key, "%llu", (unsigned long long)v->at++);
    *bytes = FW_VECTOR_HEAD + 4 * (uint64_t)v->dim;
    *mtime = v->file.mtime;
    return 1;
}

/* The values of a row as they are, in double precision. */
static void widen(const vectors *v, const char *raw, double *x)
{
    float single[FW_VECTOR_MAX];
    if (v->size == 8) {
        memcpy(x, raw, (size_t)v->dim * sizeof *x);
        return;
    }
    if (v->size == 2)
        fw_half_to_float((const uint16_t *)(const void *)raw, single, (size_t)v->dim);
    else
        memcpy(single, raw, (size_t)v->dim * sizeof *single);
    for (int i = 0; i < v->dim; i++) x[i] = (double)single[i];
}

static int normalise(const vectors *v, const char *raw, float *out, const char *key, fw_err *e)
{
    double x[FW_VECTOR_MAX], largest = 0, sum = 0;
    widen(v, raw, x);
    for (int i = 0; i < v->dim; i++) {
        if (!isfinite(x[i]))
            return fw_fail(e, FW_EFAIL, "read '%s': row %s holds a value that is not finite", v->file.path, key);
        if (fabs(x[i]) > largest) largest = fabs(x[i]);
    }
    if (largest <= 0) return fw_fail(e, FW_EFAIL, "read '%s': row %s is all zero", v->file.path, key);
    for (int i = 0; i < v->dim; i++) { /* by the largest, so that squares of tiny or huge values keep their digits */
        x[i] /= largest;
        sum += x[i] * x[i];
    }
    double norm = sqrt(sum);
    for (int i = 0; i < v->dim; i++) out[i] = (float)(x[i] / norm);
    return FW_OK;
}

static bool row_of(const fw_source *s, const char *key, uint64_t *row)
{
    return fw_key_number(key, row) && *row < ((const vectors *)s->state)->rows;
}

static int read_row(const fw_source *s, const char *key, size_t max, char **bytes, size_t *n, fw_err *e)
{
    const vectors *v = s->state;
    uint64_t row;
    if (!row_of(s, key, &row)) return fw_no_record(s, key, e);
    size_t width = (size_t)v->dim * (size_t)v->size, size = FW_VECTOR_HEAD + 4 * (size_t)v->dim;
    if (size > max) return fw_fail(e, FW_EFAIL, "read '%s': row %s is longer than the limit", v->file.path, key);
    char *raw = malloc(width), *out = malloc(size + 1);
    int rc = raw && out ? fw_bytes_read(&v->file, v->begin + row * width, raw, width, e)
                        : fw_fail(e, FW_EAGAIN, "read '%s': out of memory", v->file.path);
    if (!rc) {
        uint32_t dim = (uint32_t)v->dim;
        memcpy(out, FW_VECTOR_MAGIC, 12);
        memcpy(out + 12, &dim, 4);
        out[size] = 0;
        rc = normalise(v, raw, (float *)(void *)(out + FW_VECTOR_HEAD), key, e);
    }
    free(raw);
    if (rc) return free(out), rc;
    *bytes = out;
    *n = size;
    return FW_OK;
}

static int find_row(const fw_source *s, const char *key, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    const vectors *v = s->state;
    uint64_t row;
    if (!row_of(s, key, &row)) return fw_no_record(s, key, e);
    *bytes = FW_VECTOR_HEAD + 4 * (uint64_t)v->dim;
    *mtime = v->file.mtime;
    return FW_OK;
}

static char *locate_row(const fw_source *s, const char *key)
{
    const vectors *v = s->state;
    return fw_locate_inside(v->file.path, key);
}

static int dim_of(const fw_source *s)
{
    return ((const vectors *)s->state)->dim;
}

const fw_scheme fw_scheme_npy = {.scheme = "npy",
                                 .open = open_npy,
                                 .next = next_row,
                                 .find = find_row,
                                 .read = read_row,
                                 .locate = locate_row,
                                 .close = close_vectors,
                                 .dim = dim_of};
const fw_scheme fw_scheme_feat = {.scheme = "feat",
                                  .open = open_feat,
                                  .next = next_row,
                                  .find = find_row,
                                  .read = read_row,
                                  .locate = locate_row,
                                  .close = close_vectors,
                                  .dim = dim_of};
