// Ops of a block that go together: several products of one input, low-rank additions to them, a product behind which the stream is
// added, RoPE of queries and keys with their way to the cache (IBackend.Together). Recorded as their parts, one step each.
// Refuses: more than three weights at a time; a block has no more that read the same rows.

using System.Runtime.CompilerServices;
using Ptp.Core.Tensors;

namespace Ptp.Core.Autograd;

public sealed partial class Tape
{
    private const int Most = 6;

    /// <summary>y_i = x W_i^T for up to three weights; x [R, K], W_i [N_i, K], y_i [R, N_i].</summary>
    /// <param name="x">What all of them read.</param>
    /// <param name="weights">W_i.</param>
    /// <param name="y">Variables that <see cref="Empty"/> made.</param>
    public void MatMul(Variable x, ReadOnlySpan<Parameter> weights, ReadOnlySpan<Variable> y)
    {
        var products = default(Products);
        for (var i = 0; i < weights.Length; i++)
        {
            products[i] = new Product(x.Value, weights[i].Packed(), y[i].Value);
        }

        backend.MatMul(((ReadOnlySpan<Product>)products)[..weights.Length]);
        for (var i = 0; i < weights.Length; i++)
        {
            RecordMatMul(x, weights[i], y[i]);
        }
    }

    /// <summary>addend + x W^T; addend [R, N], x [R, K].</summary>
    public Variable MatMulAdd(Variable addend, Variable x, Parameter weight)
    {
        var y = Empty(x.Value.Rows, weight.Value.Rows, x.Gradient is not null || weight.Gradient is not null || addend.Gradient is not null);
        backend.MatMul([new Product(x.Value, weight.Packed(), y.Value, Addend: addend.Value)]);
        if (Records(y))
        {
            // The order of an addition behind a product: the sum's gradient goes to the addend first, then through the product.
            Record(new Step { X = x, Z = addend, Y = y, Weight = weight }, static (tape, in s) =>
            {
                tape.Pass(tape.Whole(s.Y), s.Z);
                tape.MatMulBackward(s.X, s.Weight, tape.Whole(s.Y));
            });
        }

        return y;
    }

    /// <summary>y_i += scale * (x A_i^T) B_i^T in place, in some rows of up to three y_i. The addition of gated LoRA.</summary>
    /// <param name="x">The rows that are adapted, [R, K].</param>
    /// <param name="a">A_i, [r, K].</param>
    /// <param name="b">B_i, [N_i, r].</param>
    /// <param name="scale">A factor of all.</param>
    /// <param name="y">y_i, N_i columns.</param>
    /// <param name="start">The row of every y_i to which the first row of <paramref name="x"/> belongs.</param>
    private void AddLowRank(
        Variable x, ReadOnlySpan<Parameter> a, ReadOnlySpan<Parameter> b, float scale, ReadOnlySpan<Variable> y, int start)
    {
        var rows = x.Value.Rows;
        var (first, second, h, part) = (default(Products), default(Products), default(Variables), default(Variables));
        for (var i = 0; i < y.Length; i++)
        {
            (h[i], part[i]) = (Empty(rows, a[i].Value.Rows), y[i].Slice(start, rows));
            first[i] = new Product(x.Value, a[i].Packed(), h[i].Value, Scale: scale);
            second[i] = new Product(h[i].Value, b[i].Packed(), part[i].Value, Accumulate: true);
        }

        backend.MatMul(((ReadOnlySpan<Product>)first)[..y.Length]);
        backend.MatMul(((ReadOnlySpan<Product>)second)[..y.Length]);
        for (var i = 0; i < y.Length; i++)
        {
            if (Records(part[i]))
            {
                Record(new Step { X = x, Z = h[i], Y = part[i], Weight = a[i], Second = b[i], Scale = scale }, static (tape, in s) =>
                {
                    tape.MatMulBackward(s.Z, s.Second, tape.Whole(s.Y)); // y += h B^T
                    tape.Backend.Scale(s.Scale, tape.Whole(s.Z)); // h = scale * x A^T
                    tape.MatMulBackward(s.X, s.Weight, tape.Whole(s.Z));
                });
            }
        }
    }

    /// <summary>
    /// y_i = x W_i^T, and scale * (x A_i^T) B_i^T added in rows from <paramref name="start"/> to the end. Where nothing is recorded, A_i reads all
    /// rows in the same op as W_i: a few rows more for an op less, and the same bits.
    /// </summary>
    /// <param name="x">[R, K].</param>
    /// <param name="weights">W_i, [N_i, K], up to three.</param>
    /// <param name="a">A_i, [r, K].</param>
    /// <param name="b">B_i, [N_i, r].</param>
    /// <param name="scale">A factor of all that is added.</param>
    /// <param name="y">Variables that <see cref="Empty"/> made, [R, N_i].</param>
    /// <param name="start">The first row that is adapted.</param>
    public void MatMulLowRank(
        Variable x, ReadOnlySpan<Parameter> weights, ReadOnlySpan<Parameter> a, ReadOnlySpan<Parameter> b, float scale,
        ReadOnlySpan<Variable> y, int start)
    {
        var rows = x.Value.Rows - start;
        if (Recording)
        {
            MatMul(x, weights, y);
            AddLowRank(x.Slice(start, rows), a, b, scale, y, start);
            return;
        }

        var (first, second) = (default(Products), default(Products));
        for (var i = 0; i < y.Length; i++)
        {
            var h = Empty(x.Value.Rows, a[i].Value.Rows);
            first[i] = new Product(x.Value, weights[i].Packed(), y[i].Value);
            first[y.Length + i] = new Product(x.Value, a[i].Packed(), h.Value, Scale: scale);
            second[i] = new Product(h.Slice(start, rows).Value, b[i].Packed(), y[i].Slice(start, rows).Value, Accumulate: true);
        }

        backend.MatMul(((ReadOnlySpan<Product>)first)[..(2 * y.Length)]);
        backend.MatMul(((ReadOnlySpan<Product>)second)[..y.Length]);
    }

    /// <summary>Rotary positions of queries and keys, in place; keys and values then go to the cache.</summary>
    /// <param name="table">Cosines and sines.</param>
    /// <param name="positions">Of each row, [R].</param>
    /// <param name="q">[R, H * K].</param>
    /// <param name="keys">[R, G * K].</param>
    /// <param name="values">[R, G * K].</param>
    /// <param name="slots">Where each row goes in the cache, behind all that this call's rows see; empty = nowhere.</param>
    /// <param name="cache">Has keys and values if there are slots.</param>
    public void RopeAndStore(
        RopeTable table, ReadOnlySpan<int> positions, Variable q, Variable keys, Variable values, ReadOnlySpan<int> slots, CachedKeys cache)
    {
        backend.RopeAndStore(table, positions, q.Value, keys.Value, values.Value, slots, cache);
        RecordRope(q, table, positions);
        RecordRope(keys, table, positions);
    }

    private void RecordRope(Variable x, RopeTable table, ReadOnlySpan<int> positions)
    {
        if (Records(x))
        {
            Record(new Step { Y = x, Rope = table, Numbers = Keep(positions) }, static (tape, in s) =>
                tape.Backend.RopeBackward(s.Rope, tape.Kept(s.Numbers), tape.Whole(s.Y)));
        }
    }

    private void RecordMatMul(Variable x, Parameter weight, Variable y)
    {
        if (Records(y))
        {
            Record(new Step { X = x, Y = y, Weight = weight }, static (tape, in s) => tape.MatMulBackward(s.X, s.Weight, tape.Whole(s.Y)));
        }
    }

    [InlineArray(Most)]
    private struct Products
    {
        private Product _first;
    }

    [InlineArray(Most)]
    private struct Variables
    {
        private Variable _first;
    }
}
