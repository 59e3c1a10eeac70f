#include "photo.h"

#include <math.h>
#include <string.h>

enum { MAX_SIDE = FW_SIG_WIDE, MAX_PIXELS = MAX_SIDE * MAX_SIDE, PARAMS = 6, MAX_STEPS = 12 };

/* A comparison over less than this share of the patch says little: the rest is margin in one of the two. */
static const float MIN_AREA = 0.06f;

/* Correlation from which the other orientation need not be tried: no face is that symmetric with its background. */
static const float SURE = 0.97f;

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
            raw.px[y * side + x] = v;
            raw.ok[y * side + x] = v ? 1 : 0;
        }
    smooth(&raw, out);
}

/* Half the resolution, straight from the bytes: what nearly every pair is dismissed on. */
static void load_half(const uint8_t *bytes, int side, bool mirror, view *out)
{
    int s = out->side = side / 2;
    for (int y = 0; y < s; y++)
        for (int x = 0; x < s; x++) {
            const uint8_t *p = bytes + 2 * y * side + 2 * x;
            bool ok = p[0] && p[1] && p[side] && p[side + 1];
            int at = y * s + (mirror ? s - 1 - x : x);
            out->px[at] = ok ? 0.25f * (float)(p[0] + p[1] + p[side] + p[side + 1]) : 0;
            out->ok[at] = ok;
        }
}

/* Sums of a masked correlation. */
typedef struct sums {
    double n, a, b, aa, bb, ab;
} sums;

static float correlation(const sums *s, float least)
{
    if (s->n < least || s->n < 2) return -1;
    double va = s->aa - s->a * s->a / s->n, vb = s->bb - s->b * s->b / s->n;
    /* under one grey level of deviation there is nothing to compare */
    if (va < s->n || vb < s->n) return -1;
    return (float)((s->ab - s->a * s->b / s->n) / sqrt(va * vb));
}

static void add_row(sums *s, const float *a, const float *aok, const float *b, const float *bok, int n)
{
    float w = 0, sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
    for (int i = 0; i < n; i++) {
        float k = aok[i] * bok[i], va = a[i] * k, vb = b[i] * k;
        w += k;
        sa += va;
        sb += vb;
        saa += va * va;
        sbb += vb * vb;
        sab += va * vb;
    }
    s->n += w;
    s->a += sa;
    s->b += sb;
    s->aa += saa;
    s->bb += sbb;
    s->ab += sab;
}

/* Correlation of a(x,y) with b(x+dx,y+dy). */
static float shifted(const view *a, const view *b, int dx, int dy)
{
    sums s = {0};
    int side = a->side, x0 = dx < 0 ? -dx : 0, x1 = dx > 0 ? side - dx : side;
    for (int y = 0; y < side; y++) {
        if (y + dy < 0 || y + dy >= side) continue;
        int p = y * side + x0, q = (y + dy) * side + x0 + dx;
        add_row(&s, a->px + p, a->ok + p, b->px + q, b->ok + q, x1 - x0);
    }
    return correlation(&s, MIN_AREA * (float)(side * side));
}

typedef struct shift {
    float ncc;
    int x, y;
} shift;

/* The best shift within one pixel of (cx,cy). */
static shift best_shift(const view *a, const view *b, int cx, int cy)
{
    shift best = {-2, 0, 0};
    for (int y = cy - 1; y <= cy + 1; y++)
        for (int x = cx - 1; x <= cx + 1; x++) {
            float c = shifted(a, b, x, y);
            if (c > best.ncc) best = (shift){c, x, y};
        }
    return best;
}

/* Where pixel (x,y) of a lies in b. */
typedef struct placing {
    float a, b, tx, ty; /* x' = x + a*(x-c) - b*(y-c) + tx,  y' = y + b*(x-c) + a*(y-c) + ty,  c the patch's centre */
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

/* One Gauss-Newton step on sum (a - gain*b(placing) - offset)^2. Returns the largest move in pixels, < 0 on failure. */
static float refine_step(const view *a, const view *b, placing *p, double *gain, double *offset)
{
    double m[PARAMS][PARAMS] = {{0}}, r[PARAMS] = {0};
    int side = a->side, used = 0;
    float c = 0.5f * (float)(side - 1);
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            float v, gx, gy, dx = (float)x - c, dy = (float)y - c;
            if (a->ok[y * side + x] == 0 || !place(b, p, x, y, &v, &gx, &gy)) continue;
            float g = (float)*gain;
            float j[PARAMS] = {g * (gx * dx + gy * dy) / c, g * (gy * dx - gx * dy) / c, g * gx, g * gy, v, 1};
            double e = a->px[y * side + x] - *gain * v - *offset;
            for (int i = 0; i < PARAMS; i++) {
                r[i] += j[i] * e;
                for (int k = 0; k <= i; k++) m[i][k] += (double)(j[i] * j[k]);
            }
            used++;
        }
    if ((float)used < MIN_AREA * (float)(side * side) || !solve(m, r)) return -1;
    p->a += (float)r[0] / c;
    p->b += (float)r[1] / c;
    p->tx += (float)r[2];
    p->ty += (float)r[3];
    *gain += r[4];
    *offset += r[5];
    return (float)(fabs(r[0]) + fabs(r[1]) + fabs(r[2]) + fabs(r[3]));
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

/* px minus the 5x5 mean over photo pixels of `mask`. */
static void details(const view *in, const view *mask, view *out)
{
    int s = out->side = in->side;
    for (int y = 0; y < s; y++)
        for (int x = 0; x < s; x++) {
            float sum = 0, n = 0;
            for (int j = y - 2; j <= y + 2; j++)
                for (int i = x - 2; i <= x + 2; i++) {
                    if (j < 0 || j >= s || i < 0 || i >= s) continue;
                    sum += in->px[j * s + i] * mask->ok[j * s + i];
                    n += mask->ok[j * s + i];
                }
            float ok = mask->ok[y * s + x];
            out->ok[y * s + x] = ok;
            out->px[y * s + x] = ok > 0 ? in->px[y * s + x] - sum / n : 0;
        }
}

static void measure(const view *a, const view *laid, fw_photo_match *m)
{
    int n = a->side * a->side;
    sums s = {0};
    add_row(&s, a->px, a->ok, laid->px, laid->ok, n);
    m->ncc = correlation(&s, MIN_AREA * (float)n);
    m->area = (float)(s.n / n);
    view da, db;
    details(a, laid, &da);
    details(laid, laid, &db);
    sums d = {0};
    add_row(&d, da.px, da.ok, db.px, db.ok, n);
    m->fine = correlation(&d, MIN_AREA * (float)n);
}

/* Register from the best shift; keep the shift alone when the descent went astray. */
static void register_pair(const view *a, const view *b, shift from, fw_photo_match *m)
{
    placing start = {0, 0, (float)from.x, (float)from.y}, p = start;
    double gain = 1, offset = 0;
    for (int i = 0; i < MAX_STEPS; i++) {
        float moved = refine_step(a, b, &p, &gain, &offset);
        if (moved < 0.01f) break; /* settled, or (< 0) failed */
    }
    view laid;
    lay(a, b, &p, &laid);
    measure(a, &laid, m);
    if (m->ncc >= from.ncc) return;
    lay(a, b, &start, &laid);
    measure(a, &laid, m);
}

/* One orientation at full resolution, starting from the half-resolution shift. */
static fw_photo_match compare_full(const uint8_t *a, const uint8_t *b, int side, bool mirror, shift half, float coarse)
{
    fw_photo_match m = {.mirrored = mirror};
    view va, vb;
    load(a, side, false, &va);
    load(b, side, mirror, &vb);
    shift full = best_shift(&va, &vb, 2 * half.x, 2 * half.y);
    m.ncc = full.ncc;
    if (full.ncc >= coarse) register_pair(&va, &vb, full, &m);
    return m;
}

static fw_photo_match compare_views(const uint8_t *a, const uint8_t *b, int side, float coarse)
{
    view ha, hb;
    shift half[2];
    load_half(a, side, false, &ha);
    for (int mirror = 0; mirror < 2; mirror++) {
        load_half(b, side, mirror, &hb);
        half[mirror] = best_shift(&ha, &hb, 0, 0);
    }
    int first = half[1].ncc > half[0].ncc, other = !first;
    fw_photo_match m = {.ncc = half[first].ncc, .mirrored = first};
    if (m.ncc < coarse) return m;
    m = compare_full(a, b, side, first, half[first], coarse);
    if (half[other].ncc < coarse || m.ncc > SURE) return m;
    fw_photo_match n = compare_full(a, b, side, other, half[other], coarse);
    return n.ncc > m.ncc ? n : m;
}

fw_photo_match fw_photo_compare(const fw_signature *a, const fw_signature *b, bool whole, float coarse)
{
    if (!(a->flags & b->flags & FW_SIG_HAS_IMAGE)) return (fw_photo_match){.ncc = -1};
    bool wide = !whole && (a->flags & b->flags & FW_SIG_HAS_FACE);
    fw_photo_match m = wide ? compare_views(a->wide, b->wide, FW_SIG_WIDE, coarse)
                            : compare_views(a->thumb, b->thumb, FW_SIG_THUMB, coarse);
    m.wide = wide;
    return m;
}
