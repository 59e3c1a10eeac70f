#include "photo.h"

#include <math.h>
#include <string.h>

enum { MAX_SIDE = FW_SIG_WIDE, MAX_PIXELS = MAX_SIDE * MAX_SIDE, SHIFT = 2, PARAMS = 6, MAX_STEPS = 15 };

/* A comparison over less than this share of the patch says little: the rest is margin in one of the two. */
static const float MIN_AREA = 0.06f;

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
    return correlation(&s, MIN_AREA * side * side);
}

static float best_shift(const view *a, const view *b, int *bx, int *by)
{
    float best = -2;
    for (int dy = -SHIFT; dy <= SHIFT; dy++)
        for (int dx = -SHIFT; dx <= SHIFT; dx++) {
            float c = shifted(a, b, dx, dy);
            if (c > best) {
                best = c;
                *bx = dx;
                *by = dy;
            }
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
            if (i != j) m[i][j] = s / m[j][j];
            else if (s <= 1e-9) return false;
            else m[i][i] = sqrt(s);
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

static void register_pair(const view *a, const view *b, int dx, int dy, fw_photo_match *m)
{
    placing p = {0, 0, (float)dx, (float)dy};
    double gain = 1, offset = 0;
    fw_photo_match start = *m;
    for (int i = 0; i < MAX_STEPS; i++) {
        float moved = refine_step(a, b, &p, &gain, &offset);
        if (moved < 0) break;
        if (moved < 0.01f) break;
    }
    view laid;
    lay(a, b, &p, &laid);
    measure(a, &laid, m);
    if (m->ncc >= start.ncc) return;
    /* the descent went astray: measure at the best shift */
    p = (placing){0, 0, (float)dx, (float)dy};
    lay(a, b, &p, &laid);
    measure(a, &laid, m);
}

fw_photo_match fw_photo_compare(const fw_signature *a, const fw_signature *b, bool whole, float coarse)
{
    fw_photo_match m = {-1, 0, 0, false, false};
    if (!(a->flags & b->flags & FW_SIG_HAS_IMAGE)) return m;
    m.wide = !whole && (a->flags & b->flags & FW_SIG_HAS_FACE);
    int side = m.wide ? FW_SIG_WIDE : FW_SIG_THUMB, dx = 0, dy = 0, mx = 0, my = 0;
    view va, vb, vm;
    load(m.wide ? a->wide : a->thumb, side, false, &va);
    load(m.wide ? b->wide : b->thumb, side, false, &vb);
    load(m.wide ? b->wide : b->thumb, side, true, &vm);
    m.ncc = best_shift(&va, &vb, &dx, &dy);
    float mirrored = best_shift(&va, &vm, &mx, &my);
    m.mirrored = mirrored > m.ncc;
    if (m.mirrored) m.ncc = mirrored;
    if (m.ncc < coarse) return m;
    if (m.mirrored) register_pair(&va, &vm, mx, my, &m);
    else register_pair(&va, &vb, dx, dy, &m);
    return m;
}
