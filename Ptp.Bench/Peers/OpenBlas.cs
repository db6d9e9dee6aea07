// OpenBLAS, where the system has it: found at run time by name, called through its C interface, never shipped or linked.
// Source: cblas.h (row-major = 101, as it is = 111, transposed = 112). On Debian: apt-get install libopenblas0-pthread.
// It is told to use its AVX-512 kernels where there are any: versions of 2022 do not know newer processors and fall back to SSE there,
// an eighth of the speed. Refuses: nothing; where there is no library there is no peer.

using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Bench.Peers;

/// <summary>Products by OpenBLAS.</summary>
internal sealed unsafe partial class OpenBlas
{
    /// <summary>Chooses its kernels, in its environment.</summary>
    public const string CoreVariable = "OPENBLAS_CORETYPE";

    private const int RowMajor = 101;
    private static readonly string[] s_names = ["libopenblas.so.0", "libopenblas.so", "libopenblas.dylib", "libopenblas.dll"];
    private readonly delegate* unmanaged<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void> _gemm;
    private readonly delegate* unmanaged<int, int, int, int, float, float*, int, float*, int, float, float*, int, void> _gemv;

    private OpenBlas(nint library, int threads)
    {
        _gemm = (delegate* unmanaged<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void>)
            NativeLibrary.GetExport(library, "cblas_sgemm");
        _gemv = (delegate* unmanaged<int, int, int, int, float, float*, int, float*, int, float, float*, int, void>)
            NativeLibrary.GetExport(library, "cblas_sgemv");
        ((delegate* unmanaged<int, void>)NativeLibrary.GetExport(library, "openblas_set_num_threads"))(threads);
        var text = ((delegate* unmanaged<byte*>)NativeLibrary.GetExport(library, "openblas_get_config"))();
        var words = (Marshal.PtrToStringUTF8((nint)text) ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var core = Marshal.PtrToStringUTF8((nint)((delegate* unmanaged<byte*>)NativeLibrary.GetExport(library, "openblas_get_corename"))());
        Version = $"{words.ElementAtOrDefault(1)} ({core})"; // "OpenBLAS 0.3.21", then build flags
    }

    /// <summary>As the library says.</summary>
    public string? Version { get; }

    /// <summary>The kernels to ask for, or null where its own choice is good or a user has chosen.</summary>
    public static string? Core => Avx512F.IsSupported && Environment.GetEnvironmentVariable(CoreVariable) is null ? "SkylakeX" : null;

    /// <summary>The library on this machine, or null.</summary>
    public static OpenBlas? Find(int threads)
    {
        if (Core is { } core && !OperatingSystem.IsWindows())
        {
            _ = SetNativeVariable(CoreVariable, core, 0); // the runtime's own variables are not those that native code reads
        }

        foreach (var name in s_names)
        {
            if (NativeLibrary.TryLoad(name, out var library) && NativeLibrary.TryGetExport(library, "openblas_get_config", out _))
            {
                return new OpenBlas(library, threads);
            }
        }

        return null;
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetNativeVariable(string name, string value, int overwrite);

    /// <summary>C [m, n] = op(A) op(B), summed over k; rows follow each other without gaps.</summary>
    public void Multiply(float* a, bool transposeA, float* b, bool transposeB, float* c, int m, int n, int k) => _gemm(
        RowMajor, transposeA ? 112 : 111, transposeB ? 112 : 111, m, n, k, 1f, a, transposeA ? m : k, b, transposeB ? k : n, 0f, c, n);

    /// <summary>y [n] = W x, W [n, k].</summary>
    public void Multiply(float* w, float* x, float* y, int n, int k) => _gemv(RowMajor, 111, n, k, 1f, w, k, x, 1, 0f, y, 1);
}
