// Writing in one step: when the disk is full, or anything else fails, the old file stays and nothing is left behind.
// The full disk is /dev/full where the system has it, and a stream that throws elsewhere.
// Not here: power cuts.

using Ptp.Core;
using Ptp.Core.Formats;
using Xunit;

namespace Ptp.Tests.Formats;

public sealed class AtomicFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("ptp-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_file_is_made_and_replaced_with_its_folder()
    {
        var path = Path.Combine(_folder, "deep", "er", "x");
        AtomicFile.Write(path, stream => stream.WriteByte(1));
        AtomicFile.Write(path, stream => stream.WriteByte(2));
        Assert.Equal([2], File.ReadAllBytes(path));
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(path)!));
    }

    [Fact]
    public void A_full_disk_keeps_the_old_file()
    {
        var path = Path.Combine(_folder, "x");
        AtomicFile.Write(path, stream => stream.WriteByte(1));
        var error = Assert.Throws<PtpException>(() => AtomicFile.Write(path, stream =>
        {
            stream.Write(new byte[100_000]);
            FillDisk();
        }));
        Assert.Contains(path, error.Asked, StringComparison.Ordinal);
        Assert.IsType<IOException>(error.InnerException, exactMatch: false);
        AssertOld(path);
    }

    [Fact]
    public void Other_failures_pass_through_and_keep_the_old_file()
    {
        var path = Path.Combine(_folder, "x");
        AtomicFile.Write(path, stream => stream.WriteByte(1));
        Assert.Throws<OperationCanceledException>(() => AtomicFile.Write(path, stream =>
        {
            stream.WriteByte(2);
            throw new OperationCanceledException();
        }));
        AssertOld(path);
    }

    [Fact]
    public void Of_several_files_none_changes_when_the_last_fails()
    {
        var (first, second) = (Path.Combine(_folder, "a"), Path.Combine(_folder, "b"));
        AtomicFile.Write(first, stream => stream.WriteByte(1));
        Assert.Throws<PtpException>(() => AtomicFile.WriteAll(
            [(first, stream => stream.WriteByte(2)), (second, _ => FillDisk())]));
        AssertOld(first);
    }

    [Fact]
    public void A_model_that_cannot_be_written_whole_leaves_the_old_one()
    {
        var (old, next) = (ModelFolderTests.Example(1), ModelFolderTests.Example(2));
        ModelFolder.Write(_folder, old.Config, old.Tensors.Values);
        next.Tensors[TensorNames.Head].Values[0] = 1e9f; // F16 cannot hold it; the writer finds out while writing
        Assert.Throws<PtpException>(() => ModelFolder.Write(_folder, next.Config, next.Tensors.Values, StoredType.F16));
        Assert.Equal(ModelFolder.Fingerprint(old), ModelFolder.Fingerprint(ModelFolder.Read(_folder)));
        Assert.Equal(2, Directory.GetFiles(_folder).Length);
    }

    [Fact]
    public void A_target_that_cannot_be_a_file_is_refused()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "taken"));
        File.WriteAllBytes(Path.Combine(_folder, "x"), [1]);
        foreach (var path in (string[])[Path.Combine(_folder, "taken"), Path.Combine(_folder, "x", "y"), ""])
        {
            Assert.Throws<PtpException>(() => AtomicFile.Write(path, stream => stream.WriteByte(2)));
            Assert.Throws<PtpException>(() => AtomicFile.Check(path));
        }

        AtomicFile.Check(Path.Combine(_folder, "x"));
        AssertOld(Path.Combine(_folder, "x"));
    }

    private static void FillDisk()
    {
        if (!File.Exists("/dev/full"))
        {
            throw new IOException("There is not enough space on the disk.");
        }

        using var full = new FileStream("/dev/full", FileMode.Open, FileAccess.Write);
        full.WriteByte(1);
        full.Flush();
    }

    private void AssertOld(string path)
    {
        Assert.Equal([1], File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFiles(_folder));
    }
}
