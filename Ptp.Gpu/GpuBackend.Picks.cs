// Choosing tokens where the logits are: see Kernels/Picks.cs for what is decided there, and what is left to the host.
// Refuses: devices other than CUDA's unless asked: PoCL, the one OpenCL device at hand, compiles this kernel for minutes by default, and two
// simulated threads take longer than the host with its logits.

using System.Runtime.InteropServices;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Tensors;
using Ptp.Gpu.Kernels;

namespace Ptp.Gpu;

public sealed partial class GpuBackend
{
    /// <summary>True where tokens are chosen on the device: as a rule on CUDA. Needs doubles; the tokens are the same either way.</summary>
    public bool PicksOnDevice { get; set; }

    /// <inheritdoc/>
    public bool TryPick(Tensor logits, LogitsTransform law, ReadOnlySpan<float> u, Span<int> tokens)
    {
        ArgumentNullException.ThrowIfNull(law);
        Same(u.Length, logits.Rows);
        Same(tokens.Length, logits.Rows);
        if (!PicksOnDevice || !_scope.HasDoubles)
        {
            return false;
        }

        var picked = _scope.Floats(0, logits.Rows);
        var threads = _scope.HasGroups ? Together.Threads : GpuScope.LeastThreads;
        if (law.IsGreedy)
        {
            RunGroups(logits.Rows, threads, new PickFirstKernel { Logits = View(logits), Tokens = picked, Columns = logits.Columns });
        }
        else
        {
            RunGroups(logits.Rows, threads, new PickKernel
            {
                Logits = View(logits),
                Tokens = picked,
                U = _scope.Ints(MemoryMarshal.Cast<float, int>(u)),
                Columns = logits.Columns,
                TopK = law.TopK,
                InverseTemperature = law.InverseTemperature,
                TopP = law.Options.TopP,
                Bound = PositiveMass.Bound(logits.Columns + Together.Threads),
            });
        }

        var onHost = new float[logits.Rows];
        _scope.Download(picked, onHost);
        for (var row = 0; row < onHost.Length; row++)
        {
            tokens[row] = (int)onHost[row];
        }

        return true;
    }
}
