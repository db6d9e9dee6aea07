// Writes files so that a reader sees the old content or the new, never a part: temporary name, flush, rename.
// Source: rename within one folder replaces its target in one step on every supported system.
// Refuses: a disk that is full or read-only (the old files stay, the temporary ones are removed).

using System.Globalization;

namespace Ptp.Core.Formats;

/// <summary>Replaces files in one step.</summary>
public static class AtomicFile
{
    private static int s_counter;

    /// <summary>Writes <paramref name="path"/> in one step; on failure the old file, if any, stays as it was.</summary>
    /// <param name="path">The file to create or replace; its folder is created when missing.</param>
    /// <param name="write">Writes the content to the stream it is given.</param>
    /// <exception cref="PtpException">The file cannot be written.</exception>
    public static void Write(string path, Action<Stream> write) => WriteAll([(path, write)]);

    /// <summary>Writes text as UTF-8, as <see cref="Write"/> does.</summary>
    /// <param name="path">The file to create or replace.</param>
    /// <param name="text">The whole of it.</param>
    /// <exception cref="PtpException">The file cannot be written.</exception>
    public static void WriteText(string path, string text)
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes(text);
        Write(path, stream => stream.Write(bytes));
    }

    /// <summary>Fails now as <see cref="Write"/> would fail after long work; a file that is there stays as it is.</summary>
    /// <param name="path">The file that is to be written later; its folder is created when missing.</param>
    /// <exception cref="PtpException">The file cannot be written.</exception>
    public static void Check(string path) => WriteAll([(path, _ => { })], replace: false);

    /// <summary>Writes several files: all temporary files first, so that a full disk leaves every old file.</summary>
    /// <param name="files">Paths and what writes each; renamed in this order.</param>
    /// <exception cref="PtpException">A file cannot be written.</exception>
    public static void WriteAll(IReadOnlyList<(string Path, Action<Stream> Write)> files) => WriteAll(files, replace: true);

    private static void WriteAll(IReadOnlyList<(string Path, Action<Stream> Write)> files, bool replace)
    {
        ArgumentNullException.ThrowIfNull(files);
        var temporaries = new List<string>(files.Count);
        var current = "";
        try
        {
            foreach (var (path, write) in files)
            {
                current = path;
                var full = Path.GetFullPath(path);
                if (Directory.Exists(full))
                {
                    throw new IOException("a folder of that name");
                }

                Directory.CreateDirectory(Path.GetDirectoryName(full) ?? full);
                var temporary = TemporaryName(full);
                temporaries.Add(temporary);
                using var stream = new FileStream(
                    temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16);
                write(stream);
                stream.Flush(flushToDisk: true); // else a power cut after the rename could leave an empty file
            }

            for (var i = 0; i < files.Count; i++)
            {
                current = files[i].Path;
                if (replace)
                {
                    File.Move(temporaries[i], Path.GetFullPath(current), overwrite: true);
                }
                else
                {
                    File.Delete(temporaries[i]);
                }
            }
        }
        catch (Exception error)
        {
            foreach (var temporary in temporaries)
            {
                Remove(temporary);
            }

            if (error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
            {
                throw new PtpException(
                    $"Write {current}", error.Message.TrimEnd('.'), "a folder that can be written and has room",
                    "What was there before is unchanged. Free some space or name another folder, then try again.",
                    error);
            }

            throw;
        }
    }

    /// <summary>Removes a file if it is there and can be removed; a leftover is no error.</summary>
    internal static void Remove(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // The caller reports the first failure; that the rest cannot be tidied adds nothing.
        }
    }

    // Process and counter make the name unique among writers of one machine; the suffix tells people what it is.
    private static string TemporaryName(string full) => string.Create(
        CultureInfo.InvariantCulture, $"{full}.{Environment.ProcessId}-{Interlocked.Increment(ref s_counter)}.tmp");
}
