// Every sample compiles and runs, from the repository's root, exactly as its header says.
// Those that need the embedded models are only run where models/base and models/ptp are there.
// Not here: what the samples print, beyond the sentence that proves their point.

using System.Diagnostics;
using Xunit;

namespace Ptp.Tests.Commands;

public sealed class SamplesTests
{
    [Theory]
    [InlineData("01-stream-text.cs", "tokens in", true)]
    [InlineData("02-one-u.cs", "never changed", true)]
    [InlineData("03-toy-language.cs", "identical", false)]
    public async Task A_sample_compiles_and_runs(string file, string says, bool needsModels)
    {
        var root = TestData.RepositoryRoot;
        Assert.True(File.Exists(Path.Combine(root, "samples", file)));
        Assert.True(!needsModels || Directory.Exists(Path.Combine(root, "models", "ptp")), "The embedded adapter is missing.");
        var start = new ProcessStartInfo("dotnet", ["run", "-c", "Release", Path.Combine("samples", file)])
        {
            WorkingDirectory = root,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var name in start.Environment.Keys.Where(k => k.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToList())
        {
            start.Environment.Remove(name); // those of the test run describe another build
        }

        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, output + await error);
        Assert.Contains(says, output, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_sample_is_tested_here()
    {
        var samples = Directory.GetFiles(Path.Combine(TestData.RepositoryRoot, "samples"), "*.cs").Select(Path.GetFileName);
        Assert.Equal(["01-stream-text.cs", "02-one-u.cs", "03-toy-language.cs"], samples.Order(StringComparer.Ordinal));
    }
}
