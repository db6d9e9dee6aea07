// NVIDIA's assembler, where the machine has one: PTX in, exit code and the report of registers and spills out.
// Source: the variable PTXAS, else the path. Debian's non-free nvidia-cuda-toolkit has it, which can be unpacked without being installed.
// Refuses: to be needed. Tests that ask for it are skipped, with this reason, where there is none.

using System.Diagnostics;
using System.Text.RegularExpressions;
using Xunit;

namespace Ptp.Tests.Backends;

internal static partial class Ptxas
{
    /// <summary>Where it is, or null.</summary>
    public static string? Found { get; } = new[] { Environment.GetEnvironmentVariable("PTXAS") }
        .Concat((Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Select(folder => Path.Combine(folder, "ptxas")))
        .FirstOrDefault(File.Exists);

    /// <summary>Assembles a kernel.</summary>
    public static (int Code, string Report) Assemble(string ptx, string target)
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, ptx);
            using var process = Process.Start(new ProcessStartInfo(Found!, ["-v", "-arch", target, "-o", file + ".cubin", file]) { RedirectStandardError = true })!;
            var report = process.StandardError.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, report);
        }
        finally
        {
            File.Delete(file);
            File.Delete(file + ".cubin");
        }
    }

    /// <summary>Registers and shared memory, as reported.</summary>
    public static string Use(string report) => Registers().Match(report).Value;

    [GeneratedRegex("Used .*")]
    private static partial Regex Registers();
}

[AttributeUsage(AttributeTargets.Method)]
internal sealed class PtxasTheoryAttribute : TheoryAttribute
{
    public PtxasTheoryAttribute()
    {
        if (Ptxas.Found is null)
        {
            Skip = "no ptxas on the path or in PTXAS; Debian's nvidia-cuda-toolkit has it";
        }
    }
}
