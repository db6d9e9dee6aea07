// The GPU backend under the backend contract, on ILGPU's simulator: few and small cases, because it interprets each thread.
// Source: the same contract as the CPU's.
// Not here: real devices and speed.

using Ptp.Core.Tensors;
using Ptp.Gpu;

namespace Ptp.Tests.Backends;

public sealed class GpuContractTests : BackendContract
{
    protected override int CaseCount => 2;

    protected override int MaxRows => 7;

    protected override int MaxWidth => 17;

    protected override IBackend Create() => new GpuBackend(GpuDeviceKind.Simulator);
}
