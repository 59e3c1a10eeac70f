#include "index/graph.h"
#include "index/person.h"
#include "index/vectors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_half_survives_a_round_trip(void **state)
{
    FW_UNUSED(state);
    for (uint32_t h = 0; h < 0x10000; h++) {
        uint16_t in[8], out[8];
        float x[8], single;
        for (int i = 0; i < 8; i++) in[i] = (uint16_t)h;
        fw_half_to_float(in, x, 8);
        fw_half_to_float(in, &single, 1); /* the scalar path */
        if ((h & 0x7C00) == 0x7C00 && h & 0x3FF) {
            assert_true(isnan(x[0]) && isnan(single));
            continue;
        }
        assert_true(x[7] == single);
        fw_float_to_half(x, out, 8);
        assert_memory_equal(in, out, sizeof in);
    }
}

static void rounding_is_to_nearest_even(void **state)
{
    FW_UNUSED(state);
    static const struct {
        float x;
        uint16_t h;
    } t[] = {{1.0f, 0x3C00},         {1.00048828125f, 0x3C00},
             {1.0004884f, 0x3C01},   {1.00146484375f, 0x3C02},
             {65504, 0x7BFF},        {65519.99f, 0x7BFF},
             {65520, 0x7C00},        {-1e9f, 0xFC00},
             {0x1p-24f, 1},          {0x1p-25f, 0},
             {0x1.8p-25f, 1},        {0x1p-14f, 0x0400},
             {-0.0f, 0x8000},        {0x1.ffcp-15f, 0x0400},
             {0x1.ff8p-15f, 0x03FF}, {2047.5f / 2048, 0x3C00}};
    for (size_t i = 0; i < FW_COUNT(t); i++) {
        uint16_t h;
        fw_float_to_half(&t[i].x, &h, 1);
        assert_int_equal(h, t[i].h);
    }
}

static void rows_run_through_chunks(void **state)
{
    FW_UNUSED(state);
    enum { DIM = 5, N = 11 };
    uint16_t h[N * DIM];
    float x[N * DIM], got[N * DIM];
    for (int i = 0; i < N * DIM; i++) x[i] = (float)i - 7;
    fw_float_to_half(x, h, N * DIM);
    const uint16_t *chunk[] = {h, h + 3 * DIM, h + 3 * DIM, h + 4 * DIM};
    uint8_t valid[N] = {1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1};
    fw_vectors *v = fw_vectors_chunks(chunk, (size_t[]){3, 0, 1, 7}, 4, DIM, valid);
    assert_int_equal(v->n, N);
    for (size_t i = 0; i < N; i++) {
        assert_ptr_equal(fw_vectors_half(v, i), h + i * DIM);
        fw_vectors_get(v, i, got);
        assert_memory_equal(got, x + i * DIM, DIM * sizeof *x);
        assert_int_equal(fw_vectors_valid(v, i), i != 2);
    }
    for (size_t first = 0; first < N; first++)
        for (size_t count = 0; first + count <= N; count++) {
            fw_vectors_block(v, first, count, got);
            assert_memory_equal(got, x + first * DIM, count * DIM * sizeof *x);
        }
    fw_vectors_free(v);
    v = fw_vectors_wrap(h, 0, DIM, NULL);
    assert_int_equal(v->n, 0);
    fw_vectors_free(v);
    fw_vectors_free(NULL);
}

static void dot_and_normalise(void **state)
{
    FW_UNUSED(state);
    float a[67], b[67], zero[9] = {0};
    double want = 0;
    for (int i = 0; i < 67; i++) {
        a[i] = sinf((float)i);
        b[i] = cosf((float)(i * i));
        want += (double)a[i] * b[i];
    }
    assert_true(fabs(fw_dot(a, b, 67) - want) < 1e-5);
    assert_true(fw_dot(a, b, 67) == fw_dot(b, a, 67));
    float norm = fw_normalise(a, 67);
    assert_true(norm > 1 && fabsf(fw_dot(a, a, 67) - 1) < 1e-6f);
    assert_true(fw_normalise(zero, 9) == 0 && zero[0] == 0);
}

static void a_graph_owns_its_arrays(void **state)
{
    FW_UNUSED(state);
    fw_graph *g = fw_graph_new(2, FW_ARRAY(uint64_t, 3), FW_ARRAY(uint32_t, 4), FW_ARRAY(float, 4));
    assert_int_equal(g->n, 2);
    assert_int_equal(g->off[2], 0);
    fw_graph_free(g); /* the leak checker sees whether all of it goes */
    fw_graph_free(NULL);
}

static void a_centred_view_takes_its_centre_out(void **state)
{
    FW_UNUSED(state);
    enum { DIM = 8, N = 3 };
    float x[N * DIM] = {0}, centre[2 * DIM] = {0}, got[DIM], block[N * DIM];
    uint16_t h[N * DIM];
    x[0] = 1, x[DIM] = 0.6f, x[DIM + 1] = 0.8f; /* the third row has no embedding: zeros */
    centre[DIM] = 0.6f;                         /* of bin 1; bin 0 is left as it is */
    fw_float_to_half(x, h, N * DIM);
    uint8_t bin[N] = {0, 1, 1}, valid[N] = {1, 1, 0};
    fw_vectors *v = fw_vectors_wrap(h, N, DIM, valid), *c = fw_vectors_centred(v, bin, centre);
    fw_vectors_get(c, 0, got);
    assert_float_equal(got[0], 1, 1e-6);
    fw_vectors_get(c, 1, got);
    assert_float_equal(got[0], 0, 1e-3);
    assert_float_equal(got[1], 1, 1e-3);
    fw_vectors_block(c, 0, N, block);
    assert_memory_equal(block + DIM, got, sizeof got);
    for (int d = 0; d < DIM; d++) assert_true(block[2 * DIM + d] == 0);
    fw_vectors_free(c);
    fw_vectors_free(v);
}

/* Eight partial sums, added one after the other: what fw_products gives on every CPU, to the last bit. */
static float eight_lanes(const float *a, const float *b, int dim)
{
    float lane[8] = {0}, sum = 0;
    for (int k = 0; k + 8 <= dim; k += 8)
        for (int j = 0; j < 8; j++) lane[j] += a[k + j] * b[k + j];
    for (int j = 0; j < 8; j++) sum += lane[j];
    for (int k = dim & ~7; k < dim; k++) sum += a[k] * b[k];
    return sum;
}

static void products_are_the_same_sums_on_every_cpu(void **state)
{
    (void)state;
    enum { NA = 5, NB = 7, MOST = 512 };
    static const int dims[] = {MOST, 67, 8, 3};
    float a[NA * MOST], b[NB * MOST], out[NA * NB];
    fw_rng r = {3};
    for (size_t i = 0; i < sizeof a / sizeof *a; i++) a[i] = (float)fw_rng_normal(&r);
    for (size_t i = 0; i < sizeof b / sizeof *b; i++) b[i] = (float)fw_rng_normal(&r);
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        fw_products(a, NA, b, NB, dims[d], out);
        for (int i = 0; i < NA; i++)
            for (int j = 0; j < NB; j++)
                assert_true(out[i * NB + j] == eight_lanes(a + i * dims[d], b + j * dims[d], dims[d]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_survives_a_round_trip),
        cmocka_unit_test(rounding_is_to_nearest_even),
        cmocka_unit_test(rows_run_through_chunks),
        cmocka_unit_test(dot_and_normalise),
        cmocka_unit_test(a_graph_owns_its_arrays),
        cmocka_unit_test(a_centred_view_takes_its_centre_out),
        cmocka_unit_test(products_are_the_same_sums_on_every_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
