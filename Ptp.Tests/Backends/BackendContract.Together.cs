// Ops that go together equal their parts done one after the other, to the bit, on every backend and variant.
// Source: IBackend.Together; shapes, weights of BF16 and of floats, additions, factors and cache slots are drawn.
// Control: a factor on what goes in instead of on what comes out. Not here: closeness to the truth, which the parts have been tested for.

using Ptp.Core;
using Ptp.Core.Tensors;
using Xunit;
using Xunit.Sdk;

namespace Ptp.Tests.Backends;

public abstract partial class BackendContract
{
    [Fact]
    public void Products_together_equal_products_alone() => Cases.Run(CaseCount, random =>
    {
        foreach (var backend in (IBackend[])[Backend, .. Variants])
        {
            ProductsTogether(backend, new Random(random.Next()), (b, products) => b.MatMul(products));
        }
    });

    [Fact]
    public void Control_a_factor_on_the_input_instead_of_the_sum_is_seen() => Assert.ThrowsAny<XunitException>(() =>
        Cases.Run(4 * CaseCount, random => ProductsTogether(Backend, random, (b, products) =>
        {
            foreach (var product in products)
            {
                var x = b.Allocate(product.X.Rows, product.X.Columns);
                b.AddScaled(product.X, product.Scale, x);
                (product with { X = x, Scale = 1f }).Run(b);
            }
        }, scaled: true)));

    [Fact]
    public void Rope_on_the_way_to_the_cache_equals_its_parts() => Cases.Run(CaseCount, random =>
    {
        var (rows, size, heads, groups) = (Rows(random), 2 * (1 + random.Next(18)), 1 + random.Next(4), 1 + random.Next(3));
        var capacity = rows + random.Next(5);
        int[] slots = [.. Enumerable.Range(0, capacity).OrderBy(_ => random.Next()).Take(rows).Select(s => random.Next(3) == 0 ? -1 : s)];
        slots = random.Next(4) == 0 ? [] : slots;
        var positions = Ids(random, rows, 50);
        var (q, k, v) = (Normal(random, rows * heads * size), Normal(random, rows * groups * size), Normal(random, rows * groups * size));
        var (cachedK, cachedV) = (Normal(random, capacity * groups * size), Normal(random, capacity * groups * size));
        foreach (var backend in (IBackend[])[Backend, .. Variants])
        {
            var table = RopeTable(backend, 50, size, 100);
            var expected = Run(apart: true);
            var received = Run(apart: false);
            for (var i = 0; i < expected.Length; i++)
            {
                SameBits($"{backend.Name}: queries, keys, values, cached keys, cached values: {i}", expected[i], received[i]);
            }

            float[][] Run(bool apart)
            {
                var (queries, keys, values) = (Put(backend, q, rows, heads * size), Put(backend, k, rows, groups * size), Put(backend, v, rows, groups * size));
                var cache = new CachedKeys(Put(backend, cachedK, capacity, groups * size), Put(backend, cachedV, capacity, groups * size));
                if (apart)
                {
                    backend.Rope(table, positions, queries);
                    backend.Rope(table, positions, keys);
                    if (slots.Length > 0)
                    {
                        backend.Scatter(keys, slots, cache.Keys!);
                        backend.Scatter(values, slots, cache.Values!);
                    }
                }
                else
                {
                    backend.RopeAndStore(table, positions, queries, keys, values, slots, cache);
                }

                return [.. ((Tensor[])[queries, keys, values, cache.Keys!, cache.Values!]).Select(t => Get(backend, t))];
            }
        }
    });

    [Fact]
    public void A_product_is_accumulated_scaled_or_added_to_but_not_two_of_these()
    {
        var (x, w, y) = (Backend.Allocate(1, 2), Backend.Pack(Backend.Allocate(3, 2), false, null), Backend.Allocate(1, 3));
        var error = Assert.Throws<PtpException>(() => Backend.MatMul([new Product(x, w, y, Accumulate: true, Addend: y)]));
        Assert.Contains("at most one", error.Message, StringComparison.Ordinal);
    }

    private void ProductsTogether(IBackend backend, Random random, Action<IBackend, Product[]> together, bool scaled = false)
    {
        var (rows, inner, count) = (Rows(random), Inner(random), 1 + random.Next(3));
        var shared = random.Next(3) > 0; // mostly of one input, as in a block
        var x = Enumerable.Range(0, count).Select(_ => Normal(random, rows * inner)).ToArray();
        var outputs = Enumerable.Range(0, count).Select(_ => Width(random)).ToArray();
        var kinds = Enumerable.Range(0, count).Select(_ => scaled ? 2 : random.Next(4)).ToArray(); // plain, accumulated, scaled, added to
        var weights = outputs.Select(n => random.Next(2) == 0 ? Normal(random, n * inner) : Short(Normal(random, n * inner))).ToArray();
        var before = outputs.Select(n => Normal(random, rows * n)).ToArray();
        var added = outputs.Select(n => Normal(random, rows * n)).ToArray();
        var packed = weights.Select((w, i) => backend.Pack(Put(backend, w, outputs[i], inner), false, null)).ToArray();
        var inputs = x.Select(values => Put(backend, values, rows, inner)).ToArray();
        var addends = added.Select((values, i) => Put(backend, values, rows, outputs[i])).ToArray();
        Product[] Products() => [.. Enumerable.Range(0, count).Select(i => new Product(
            inputs[shared ? 0 : i], packed[i], Put(backend, before[i], rows, outputs[i]), kinds[i] == 1, kinds[i] == 2 ? 0.3f : 1f,
            kinds[i] == 3 ? addends[i] : null))];

        var (alone, all) = (Products(), Products());
        foreach (var product in alone)
        {
            product.Run(backend);
        }

        together(backend, all);
        for (var i = 0; i < count; i++)
        {
            SameBits($"{backend.Name}: product {i} of {count}, [{rows}, {inner}] to {outputs[i]}", Get(backend, alone[i].Y), Get(backend, all[i].Y));
        }
    }
}
