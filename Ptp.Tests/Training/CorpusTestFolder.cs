// A folder that is gone after the test.
// Used by the corpus tests, which write and damage files.
// Refuses: nothing.

namespace Ptp.Tests.Training;

/// <summary>A new folder under the system's temporary folder.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("ptp-test-").FullName;

    public string At(params string[] names) => System.IO.Path.Combine([Path, .. names]);

    public string Put(string name, string text)
    {
        File.WriteAllText(At(name), text);
        return At(name);
    }

    public void Dispose() => Directory.Delete(Path, true);
}
