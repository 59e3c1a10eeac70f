#include "photo.h"

#include <math.h>
#include <string.h>

enum { MAX_SIDE = FW_SIG_WIDE, MAX_PIXELS = MAX_SIDE * MAX_SIDE, PARAMS = 6, MAX_STEPS = 12 };

/* A comparison over less than this share of the patch says little: the rest is margin in one of the two. */
static const float MIN_AREA = 0.06f;

/* Correlation from which the other orientation need not be tried: no face is that symmetric with its background. */
static const float SURE = 0.97f;

/* First look, at a quarter of the resolution (10 x 10; whole images 12 x 12) and shifts of one pixel: nearly every pair
 * ends here. LFW with 2,000 planted copies (dups, seeds 11 and 12): the least alike copies have .74 and .82 in the
 * face-aligned view, three in four of the other candidates are under .68. Whole images are not aligned, so cropping
 * costs more: some copies have .70, and seven in eight of the others are under .65. */
static const float FIRST_FACE = 0.68f, FIRST_WHOLE = 0.65f;

/* Second look, registered at half the resolution. For 2,031 of the 2,035 copies ncc + fine is within .09 of what it
 * will be at full resolution, or above; the others are photos so smooth that half the resolution has no details to
 * compare, and have an ncc of .97 and more. A slack of .2 lets through 1 in 60 of the other candidates. */
static const float SECOND_SLACK = 0.2f;
enum { SECOND_STEPS = 6 };

/* The other orientation is looked at only when the first look nearly prefers it. */
static const float OTHER = 0.08f;

/* Taken off every grey value, so that sums of single-precision products stay exact enough. */
static const float GREY = 128;

/* A view as floats; ok[i] is 1 where px[i] is photo, else 0 and px[i] is 0. */
typedef struct view {
    int side;
    float px[MAX_PIXELS], ok[MAX_PIXELS];
} view;

/* 3x3 binomial over the pixels that are photo: takes away the difference that resampling by half a pixel makes. */
static void smooth(const view *in, view *out)
{
    static const float K[3] = {0.25f, 0.5f, 0.25f};
    int s = in->side;
    out->side = s;
    for (int y = 0; y < s; y++)
        for (int x = 0; x < s; x++) {
            float sum = 0, weight = 0;
            for (int j = -1; j <= 1; j++)
                for (int i = -1; i <= 1; i++) {
                    if (y + j < 0 || y + j >= s || x + i < 0 || x + i >= s) continue;
                    float k = K[j + 1] * K[i + 1];
                    int at = (y + j) * s + x + i;
                    sum += k * in->px[at];
                    weight += k * in->ok[at];
                }
            float ok = in->ok[y * s + x];
            out->ok[y * s + x] = ok;
            out->px[y * s + x] = ok > 0 ? sum / weight : 0;
        }
}

static void load(const uint8_t *bytes, int side, bool mirror, view *out)
{
    view raw;
    raw.side = side;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            uint8_t v = bytes[y * side + (mirror ? side - 1 - x : x)];
            raw.px[y * side + x] = v ? (float)v - GREY : 0;
            raw.ok[y * side + x] = v ? 1 : 0;
        }
    smooth(&raw, out);
}

/* Half the resolution, straight from the bytes. */
static void load_half(const uint8_t *bytes, int side, view *out)
{
    int s = out->side = side / 2;
    for (int y = 0; y < s; y++)
        for (int x = 0; x < s; x++) {
            const uint8_t *p = bytes + 2 * y * side + 2 * x;
            bool ok = p[0] && p[1] && p[side] && p[side + 1];
            int at = y * s + x;
            out->px[at] = ok ? 0.25f * (float)(p[0] + p[1] + p[side] + p[side + 1]) - GREY : 0;
            out->ok[at] = ok;
        }
}

/* Sums of a masked correlation. */
typedef struct sums {
    double n, a, b, aa, bb, ab;
} sums;

/* Too few common pixels, or flat ones: says nothing against the pair. */
static const float UNKNOWN = -1;

static float correlation(const sums *s, float least)
{
    if (s->n < least || s->n < 2) return UNKNOWN;
    double va = s->aa - s->a * s->a / s->n, vb = s->bb - s->b * s->b / s->n;
    /* under one grey level of deviation there is nothing to compare */
    if (va < s->n || vb < s->n) return UNKNOWN;
    return (float)((s->ab - s->a * s->b / s->n) / sqrt(va * vb));
}

typedef float lanes __attribute__((vector_size(32), aligned(4)));

static float total(const lanes *x)
{
    float t = 0;
    for (int i = 0; i < 8; i++) t += (*x)[i];
    return t;
}

/* Sums over n pixels, a multiple of eight. Values outside the photo are 0. */
static void add_pixels(sums *s, const float *a, const float *aok, const float *b, const float *bok, int n)
{
    lanes w = {0}, sa = {0}, sb = {0}, saa = {0}, sbb = {0}, sab = {0};
    for (int i = 0; i < n; i += 8) {
        lanes ka = *(const lanes *)(const void *)(aok + i), kb = *(const lanes *)(const void *)(bok + i);
        lanes pa = *(const lanes *)(const void *)(a + i), pb = *(const lanes *)(const void *)(b + i);
        lanes va = pa * kb, vb = pb * ka;
        w += ka * kb;
        sa += va;
        sb += vb;
        saa += va * va;
        sbb += vb * vb;
        sab += va * vb;
    }
    s->n += total(&w);
    s->a += total(&sa);
    s->b += total(&sb);
    s->aa += total(&saa);
    s->bb += total(&sbb);
    s->ab += total(&sab);
}

/* The view of the first look. Rows are STRIDE apart with empty pixels between and around them, so that a shift is an
 * offset into the array. */
enum { SMALL_MOST = 12, STRIDE = SMALL_MOST + 2, PAD = 16, SPAN = (STRIDE * SMALL_MOST + 7) / 8 * 8 };

typedef struct small {
    int side;
    float px[PAD + SPAN + PAD], ok[PAD + SPAN + PAD];
} small;

/* `half` itself, or halved once more when it is larger than SMALL_MOST. A pixel that is mostly photo counts: a tight
 * crop fills a tenth of the face-aligned view, and would lose half of that here. */
static void shrink(const view *half, small *out)
{
    memset(out, 0, sizeof *out);
    int by = half->side > SMALL_MOST ? 2 : 1, s = out->side = half->side / by;
    for (int y = 0; y < s; y++)
        for (int x = 0; x < s; x++) {
            float sum = 0, ok = 0;
            for (int j = 0; j < by; j++)
                for (int i = 0; i < by; i++) {
                    int from = (y * by + j) * half->side + x * by + i;
                    sum += half->px[from];
                    ok += half->ok[from];
                }
            int at = PAD + y * STRIDE + x;
            out->ok[at] = 2 * ok >= (float)(by * by);
            out->px[at] = out->ok[at] > 0 ? sum / ok : 0;
        }
}

static void mirrored(const view *in, view *out)
{
    int s = out->side = in->side;
    for (int y = 0; y < s; y++)
        for (int x = 0; x < s; x++) {
            out->px[y * s + x] = in->px[y * s + s - 1 - x];
            out->ok[y * s + x] = in->ok[y * s + s - 1 - x];
        }
}

typedef struct shift {
    float ncc;
    int x, y;
} shift;

/* The best of the nine shifts by at most one pixel: a(x,y) with b(x+dx,y+dy). */
static shift best_shift(const small *a, const small *b)
{
    shift best = {UNKNOWN, 0, 0};
    float least = MIN_AREA * (float)(a->side * a->side);
    for (int y = -1; y <= 1; y++)
        for (int x = -1; x <= 1; x++) {
            sums s = {0};
            int to = PAD + y * STRIDE + x;
            add_pixels(&s, a->px + PAD, a->ok + PAD, b->px + to, b->ok + to, SPAN);
            float c = correlation(&s, least);
            if (c > best.ncc) best = (shift){c, x, y};
        }
    return best;
}

/* Where pixel (x,y) of a lies in b. */
typedef struct placing {
    float a, b, tx, ty, gain,
        offset; /* x' = x + a*(x-c) - b*(y-c) + tx,  y' = y + b*(x-c) + a*(y-c) + ty,  c the patch's centre */
} placing;

/* Value and slopes of b there; false when one of its four pixels is no photo. */
static bool probe(const view *b, float x, float y, float *v, float *gx, float *gy)
{
    int s = b->side;
    if (!(x >= 0 && y >= 0 && x < s - 1 && y < s - 1)) return false;
    int x0 = (int)x, y0 = (int)y, at = y0 * s + x0;
    if (b->ok[at] * b->ok[at + 1] * b->ok[at + s] * b->ok[at + s + 1] == 0) return false;
    float fx = x - (float)x0, fy = y - (float)y0;
    float p = b->px[at], q = b->px[at + 1], r = b->px[at + s], t = b->px[at + s + 1];
    *gx = (1 - fy) * (q - p) + fy * (t - r);
    *gy = (1 - fx) * (r - p) + fx * (t - q);
    *v = (1 - fy) * (p + fx * (q - p)) + fy * (r + fx * (t - r));
    return true;
}

static bool place(const view *b, const placing *p, int x, int y, float *v, float *gx, float *gy)
{
    float c = 0.5f * (float)(b->side - 1), dx = (float)x - c, dy = (float)y - c;
    return probe(b, (float)x + p->a * dx - p->b * dy + p->tx, (float)y + p->b * dx + p->a * dy + p->ty, v, gx, gy);
}

/* Solve the symmetric positive system m x = r in place (Cholesky); false when it is singular. */
static bool solve(double m[PARAMS][PARAMS], double r[PARAMS])
{
    for (int i = 0; i < PARAMS; i++) {
        for (int j = 0; j <= i; j++) {
            double s = m[i][j];
            for (int k = 0; k < j; k++) s -= m[i][k] * m[j][k];
            if (i != j)
                m[i][j] = s / m[j][j];
            else if (s <= 1e-9)
                return false;
            else
                m[i][i] = sqrt(s);
        }
    }
    for (int i = 0; i < PARAMS; i++) {
        for (int k = 0; k < i; k++) r[i] -= m[i][k] * r[k];
        r[i] /= m[i][i];
    }
    for (int i = PARAMS - 1; i >= 0; i--) {
        for (int k = i + 1; k < PARAMS; k++) r[i] -= m[k][i] * r[k];
        r[i] /= m[i][i];
    }
    return true;
}

/* Normal equations of sum (a - gain*b(placing) - offset)^2: row i of `sum` is the products of derivative i with the
 * derivatives 0..5 and (place 6) the residual. Returns the pixels used. */
static int normal_equations(const view *a, const view *b, const placing *p, float gain, float offset, lanes sum[PARAMS])
{
    int side = a->side, used = 0;
    float c = 0.5f * (float)(side - 1), scale = gain / c;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            float v, gx, gy, dx = (float)x - c, dy = (float)y - c;
            if (a->ok[y * side + x] == 0 || !place(b, p, x, y, &v, &gx, &gy)) continue;
            lanes j = {scale * (gx * dx + gy * dy),
                       scale * (gy * dx - gx * dy),
                       gain * gx,
                       gain * gy,
                       v,
                       1,
                       a->px[y * side + x] - gain * v - offset};
            for (int i = 0; i < PARAMS; i++) sum[i] += j[i] * j;
            used++;
        }
    return used;
}

/* One Gauss-Newton step. Returns the largest move in pixels, < 0 on failure. */
static float refine_step(const view *a, const view *b, placing *p)
{
    lanes sum[PARAMS] = {{0}};
    double m[PARAMS][PARAMS], r[PARAMS];
    float c = 0.5f * (float)(a->side - 1);
    int used = normal_equations(a, b, p, p->gain, p->offset, sum);
    for (int i = 0; i < PARAMS; i++) {
        r[i] = (double)sum[i][6];
        for (int k = 0; k < PARAMS; k++) m[i][k] = (double)sum[i][k];
    }
    if ((float)used < MIN_AREA * (float)(a->side * a->side) || !solve(m, r)) return -1;
    p->a += (float)r[0] / c;
    p->b += (float)r[1] / c;
    p->tx += (float)r[2];
    p->ty += (float)r[3];
    p->gain += (float)r[4];
    p->offset += (float)r[5];
    return (float)(fabs(r[0]) + fabs(r[1]) + fabs(r[2]) + fabs(r[3]));
}

static void refine(const view *a, const view *b, placing *p, int steps)
{
    for (int i = 0; i < steps; i++)
        if (refine_step(a, b, p) < 0.01f) break; /* settled, or (< 0) failed */
}

/* b laid onto a. */
static void lay(const view *a, const view *b, const placing *p, view *out)
{
    int side = out->side = a->side;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            float v = 0, gx, gy;
            bool ok = a->ok[y * side + x] > 0 && place(b, p, x, y, &v, &gx, &gy);
            out->px[y * side + x] = ok ? v : 0;
            out->ok[y * side + x] = ok;
        }
}

/* out[i] = sum of in[i - 2 * step] .. in[i + 2 * step] within a line of n pixels that lie `step` apart. */
static void sum_line(const float *in, float *out, int n, int step)
{
    for (int i = 0; i < n; i++) {
        float s = 0;
        for (int k = i < 2 ? 0 : i - 2; k <= i + 2 && k < n; k++) s += in[k * step];
        out[i * step] = s;
    }
}

/* 5x5 sums around every pixel. */
static void sum_boxes(const float *in, int side, float *out)
{
    float rows[MAX_PIXELS];
    for (int y = 0; y < side; y++) sum_line(in + y * side, rows + y * side, side, 1);
    for (int x = 0; x < side; x++) sum_line(rows + x, out + x, side, side);
}

/* px minus the 5x5 mean over photo pixels of `mask`. */
static void details(const view *in, const view *mask, view *out)
{
    float sum[MAX_PIXELS], n[MAX_PIXELS];
    int pixels = in->side * in->side;
    out->side = in->side;
    for (int i = 0; i < pixels; i++) out->px[i] = in->px[i] * mask->ok[i];
    sum_boxes(out->px, in->side, sum);
    sum_boxes(mask->ok, in->side, n);
    for (int i = 0; i < pixels; i++) {
        out->ok[i] = mask->ok[i];
        out->px[i] = mask->ok[i] > 0 ? in->px[i] - sum[i] / n[i] : 0;
    }
}

static float agreement(const view *a, const view *b)
{
    sums s = {0};
    int n = a->side * a->side; /* 1600, 576, 400, 144: all multiples of eight */
    add_pixels(&s, a->px, a->ok, b->px, b->ok, n);
    return correlation(&s, MIN_AREA * (float)n);
}

static void measure(const view *a, const view *laid, fw_photo_match *m)
{
    view da, db;
    float n = 0;
    for (int i = 0; i < a->side * a->side; i++) n += laid->ok[i];
    m->area = n / (float)(a->side * a->side);
    m->ncc = agreement(a, laid);
    details(a, laid, &da);
    details(laid, laid, &db);
    m->fine = agreement(&da, &db);
}

/* Half-resolution views of a pair, b in both orientations, and what the first look saw. */
typedef struct looks {
    view a, b[2];
    shift first[2];
} looks;

static void look_first(const uint8_t *a, const uint8_t *b, int side, looks *l)
{
    small sa, sb;
    load_half(a, side, &l->a);
    load_half(b, side, &l->b[0]);
    mirrored(&l->b[0], &l->b[1]);
    shrink(&l->a, &sa);
    for (int m = 0; m < 2; m++) {
        shrink(&l->b[m], &sb);
        l->first[m] = best_shift(&sa, &sb);
    }
}

/* Register at half resolution; `p` is left in its pixels. */
static void look_second(const looks *l, int mirror, placing *p, fw_photo_match *m)
{
    view laid;
    float by = l->a.side > SMALL_MOST ? 2 : 1;
    *p = (placing){0, 0, by * (float)l->first[mirror].x, by * (float)l->first[mirror].y, 1, 0};
    refine(&l->a, &l->b[mirror], p, SECOND_STEPS);
    lay(&l->a, &l->b[mirror], p, &laid);
    measure(&l->a, &laid, m);
}

static void look_closely(const uint8_t *a, const uint8_t *b, int side, placing p, fw_photo_match *m)
{
    view va, vb, laid;
    load(a, side, false, &va);
    load(b, side, m->mirrored, &vb);
    p.tx *= 2;
    p.ty *= 2;
    refine(&va, &vb, &p, MAX_STEPS);
    lay(&va, &vb, &p, &laid);
    measure(&va, &laid, m);
}

/* One orientation, as far as it is worth looking. */
static fw_photo_match compare_one(const looks *l, const uint8_t *a, const uint8_t *b, int side, int mirror, float need)
{
    fw_photo_match m = {.ncc = l->first[mirror].ncc, .mirrored = mirror};
    placing p;
    if (m.ncc != UNKNOWN && m.ncc < (side == FW_SIG_WIDE ? FIRST_FACE : FIRST_WHOLE)) return m;
    look_second(l, mirror, &p, &m);
    if (m.ncc == UNKNOWN || m.ncc >= SURE || m.ncc + m.fine >= need - SECOND_SLACK)
        look_closely(a, b, side, p, &m);
    else
        m.fine = 0;
    return m;
}

static fw_photo_match compare_views(const uint8_t *a, const uint8_t *b, int side, float need)
{
    looks l;
    look_first(a, b, side, &l);
    int first = l.first[1].ncc > l.first[0].ncc;
    fw_photo_match m = compare_one(&l, a, b, side, first, need);
    if (l.first[!first].ncc < l.first[first].ncc - OTHER || (m.ncc > SURE && m.ncc + m.fine >= need)) return m;
    fw_photo_match n = compare_one(&l, a, b, side, !first, need);
    return n.ncc + n.fine > m.ncc + m.fine ? n : m;
}

fw_photo_match fw_photo_compare(const fw_signature *a, const fw_signature *b, bool whole, float need)
{
    if (!(a->flags & b->flags & FW_SIG_HAS_IMAGE)) return (fw_photo_match){.ncc = -1};
    bool wide = !whole && (a->flags & b->flags & FW_SIG_HAS_FACE);
    fw_photo_match m = wide ? compare_views(a->wide, b->wide, FW_SIG_WIDE, need)
                            : compare_views(a->thumb, b->thumb, FW_SIG_THUMB, need);
    m.wide = wide;
    return m;
}
