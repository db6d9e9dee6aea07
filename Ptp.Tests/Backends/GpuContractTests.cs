// The GPU backend under the backend contract: on ILGPU's simulator in few and small cases, because it interprets each thread, and with
// groups of threads on a CUDA or OpenCL device if the machine has one, else on simulated groups in the least cases that reach every kernel.
// Source: the same contract as the CPU's. Not here: speed.

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

public sealed class GpuGroupContractTests : BackendContract
{
    private static readonly bool s_device = GpuDevices.List().Count > 0;

    protected override int CaseCount => s_device ? 10 : 1;

    protected override int MaxRows => s_device ? 70 : 3;

    protected override int MaxWidth => s_device ? 130 : 8;

    protected override int MaxTokens => s_device ? 48 : 5;

    protected override IBackend Create() => s_device ? new GpuBackend() : GpuBackend.WithSimulatedGroups();
}
