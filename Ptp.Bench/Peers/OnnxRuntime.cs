// ONNX Runtime on one-node graphs, in this process, with preallocated inputs and outputs. The managed package is small and always
// here; the native library (some 30 MB) is fetched only when Ptp.Bench is restored by itself, and looked for in NuGet's folder.
// Refuses: nothing; where the library is missing there is no peer, and the report says why.

using System.Runtime.InteropServices;
using System.Runtime.Loader;
using Microsoft.ML.OnnxRuntime;

namespace Ptp.Bench.Peers;

/// <summary>Sessions of ONNX Runtime.</summary>
internal sealed class OnnxRuntime : IDisposable
{
    private readonly SessionOptions _options;
    private readonly RunOptions _run = new();
    private readonly List<IDisposable> _owned = [];

    private OnnxRuntime(int threads)
    {
        _options = new SessionOptions
        {
            IntraOpNumThreads = threads,
            InterOpNumThreads = 1,
            ExecutionMode = ExecutionMode.ORT_SEQUENTIAL,
            GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL,
        };
        Version = OrtEnv.Instance().GetVersionString();
    }

    /// <summary>As the library says.</summary>
    public string Version { get; }

    /// <summary>The library on this machine, or null and what stands in its way.</summary>
    public static (OnnxRuntime? Runtime, string? Missing) Find(int threads)
    {
        if (NativeFile() is not { } path)
        {
            return (null, $"no native library in {Folder}; 'dotnet restore Ptp.Bench' fetches it, a build of the solution does not");
        }

        try
        {
            return (Load(NativeLibrary.Load(path), threads), null);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException or FileNotFoundException or TypeInitializationException
            or EntryPointNotFoundException or OnnxRuntimeException)
        {
            return (null, $"{path} does not load: {(e.InnerException ?? e).Message}");
        }
    }

    /// <summary>A session that runs a model; the buffers are read and written in place by each run.</summary>
    public Action Session(byte[] model, (OnnxTensor Tensor, float[] Values)[] inputs, (OnnxTensor Tensor, float[] Values) output)
    {
        var session = new InferenceSession(model, _options);
        OrtValue Bind((OnnxTensor Tensor, float[] Values) of)
        {
            var value = OrtValue.CreateTensorValueFromMemory(of.Values, of.Tensor.Shape);
            _owned.Add(value);
            return value;
        }

        string[] names = [.. inputs.Select(i => i.Tensor.Name)];
        OrtValue[] values = [.. inputs.Select(Bind)];
        string[] results = [output.Tensor.Name];
        OrtValue[] written = [Bind(output)];
        _owned.Add(session);
        return () => session.Run(_run, names, values, results, written);
    }

    /// <summary>Gives back all sessions made so far: each keeps its threads and a copy of its weights.</summary>
    public void Release()
    {
        foreach (var owned in _owned)
        {
            owned.Dispose();
        }

        _owned.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Release();
        _run.Dispose();
        _options.Dispose();
    }

    private static OnnxRuntime Load(nint library, int threads)
    {
        AssemblyLoadContext.Default.ResolvingUnmanagedDll += (_, name) =>
            name.Contains("onnxruntime", StringComparison.OrdinalIgnoreCase) ? library : 0;
        return new OnnxRuntime(threads);
    }

    private static string Folder => Path.Combine(
        Environment.GetEnvironmentVariable("NUGET_PACKAGES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages"),
        "microsoft.ml.onnxruntime");

    /// <summary>The latest version's library, or null.</summary>
    private static string? NativeFile()
    {
        var file = OperatingSystem.IsWindows() ? "onnxruntime.dll" : OperatingSystem.IsMacOS() ? "libonnxruntime.dylib" : "libonnxruntime.so";
        return Directory.Exists(Folder)
            ? Directory.EnumerateDirectories(Folder).OrderDescending(StringComparer.Ordinal)
                .Select(v => Path.Combine(v, "runtimes", PortableIdentifier, "native", file)).FirstOrDefault(File.Exists)
            : null;
    }

    private static string PortableIdentifier =>
        (OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux")
        + RuntimeInformation.ProcessArchitecture switch { Architecture.Arm64 => "-arm64", _ => "-x64" };
}
