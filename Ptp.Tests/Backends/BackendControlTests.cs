// Negative controls of the backend contract: backends with one plausible mistake each, which the contract must find.
// Source: how fast kernels really lose row independence: another order of summation for wide calls, neighbours, padding.
// Not here: the contract.

using Ptp.Core.Cpu;
using Ptp.Core.Tensors;
using Xunit;
using Xunit.Sdk;

namespace Ptp.Tests.Backends;

public sealed class BackendControlTests
{
    private const int Count = 20;

    [Fact]
    public void The_wrapper_alone_is_innocent() => Assert.Equal(0, Caught(backend => new WrappedBackend(backend)));

    [Fact]
    public void Control_a_product_that_sums_in_two_halves_when_wide_is_found() =>
        Assert.InRange(Caught(backend => new HalvedSums(backend)), Count / 2, Count);

    [Fact]
    public void Control_a_norm_that_looks_at_its_neighbour_is_found() =>
        Assert.InRange(Caught(backend => new NosyNorm(backend)), Count / 2, Count);

    /// <summary>Cases in which the check of row independence threw.</summary>
    private static int Caught(Func<IBackend, IBackend> flawed)
    {
        using var contract = new Draws();
        using var inner = new CpuBackend(1);
        var caught = 0;
        for (var seed = 0; seed < Count; seed++)
        {
            var random = new Random(seed);
            try
            {
                foreach (var op in contract.RowOps(random))
                {
                    BackendContract.RowsAreIndependent(op, random, [flawed(inner)]);
                }
            }
            catch (XunitException)
            {
                caught++;
            }
        }

        return caught;
    }

    /// <summary>Lends the contract's generator; its tests are not run for this class.</summary>
    private sealed class Draws : BackendContract
    {
        protected override IBackend Create() => new CpuBackend(1);
    }

    /// <summary>Above eight rows the sum over K is split, as tuned kernels do: correct to 1e-7, and not exact.</summary>
    private sealed class HalvedSums(IBackend inner) : WrappedBackend(inner)
    {
        private Tensor? _weight;

        public override PackedMatrix Pack(Tensor weight, bool transposed, PackedMatrix? reuse, WeightFormat format)
        {
            _weight = transposed ? null : weight;
            return base.Pack(weight, transposed, reuse, format);
        }

        public override void MatMul(Tensor x, PackedMatrix weight, bool accumulate, Tensor y)
        {
            base.MatMul(x, weight, accumulate, y);
            if (x.Rows <= 8 || _weight is null || accumulate)
            {
                return;
            }

            for (var row = 0; row < x.Rows; row++)
            {
                for (var n = 0; n < weight.Outputs; n++)
                {
                    var (low, high, half) = (0f, 0f, weight.Inputs / 2);
                    for (var k = 0; k < weight.Inputs; k++)
                    {
                        ref var sum = ref k < half ? ref low : ref high;
                        sum = MathF.FusedMultiplyAdd(x.Row(row)[k], _weight.Row(n)[k], sum);
                    }

                    y.Row(row)[n] = low + high;
                }
            }
        }
    }

    /// <summary>The last row of a call takes a breath of the first, as a tile with stale padding would.</summary>
    private sealed class NosyNorm(IBackend inner) : WrappedBackend(inner)
    {
        public override void RmsNorm(Tensor x, Tensor gain, float epsilon, Tensor y)
        {
            base.RmsNorm(x, gain, epsilon, y);
            y.Row(y.Rows - 1)[0] += 1e-6f * x.Row(0)[0];
        }
    }
}
