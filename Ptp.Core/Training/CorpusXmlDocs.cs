// The XML documentation of the .NET SDK as a corpus: where it lies, and its members without duplicates.
// A block is a type, a template the first line without its names: whole types are held out, no template is on both sides.
// Refuses: no documentation found. A file that is no well-formed XML is left out and counted.

using System.Runtime.InteropServices;
using System.Xml;
using System.Xml.Linq;

namespace Ptp.Core.Training;

/// <summary>Reads XML documentation files.</summary>
public static class CorpusXmlDocs
{
    private const int MostPerTemplate = 8;
    private static readonly string[] Packs = ["Microsoft.NETCore.App.Ref", "Microsoft.AspNetCore.App.Ref"];

    /// <summary>The folders of the SDK's own documentation, newest version of each pack.</summary>
    /// <exception cref="PtpException">No SDK with documentation was found.</exception>
    public static IReadOnlyList<string> SdkFolders()
    {
        var roots = SdkRoots().Distinct(StringComparer.Ordinal).ToList();
        foreach (var root in roots)
        {
            var folders = Packs.Select(pack => Newest(Path.Combine(root, "packs", pack))).OfType<string>().ToList();
            if (folders.Count > 0)
            {
                return folders;
            }
        }

        throw new PtpException("Find the SDK's documentation", "no packs folder in " + string.Join(", ", roots),
            "<SDK root>/packs/Microsoft.NETCore.App.Ref/<version>/ref/net10.0/*.xml",
            "Install a .NET SDK, not only the runtime, or set DOTNET_ROOT to where it is.");
    }

    /// <summary>All members of all files, once each, with at most eight of one template.</summary>
    /// <param name="folders">Folders that hold *.xml files; a file name that came before is not read again.</param>
    /// <param name="name">Name of the corpus.</param>
    public static CorpusReading Read(IReadOnlyList<string> folders, string name = "dotnet")
    {
        ArgumentNullException.ThrowIfNull(folders);
        var reader = new Collector();
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var folder in folders)
        {
            Guard.Require(Directory.Exists(folder), "Read XML documentation", $"'{folder}', which is no folder",
                "a folder with *.xml files", "Check the path.");
            foreach (var file in Directory.GetFiles(folder, "*.xml").Order(StringComparer.Ordinal))
            {
                if (names.Add(Path.GetFileName(file)))
                {
                    reader.AddFile(file);
                }
            }
        }

        return new CorpusReading(name, reader.Parts)
        {
            Sources = [.. folders],
            JoinShort = true,
            Damaged = reader.Damaged,
            Duplicates = reader.Duplicates,
        };
    }

    private static IEnumerable<string> SdkRoots()
    {
        if (Environment.GetEnvironmentVariable("DOTNET_ROOT") is { Length: > 0 } set)
        {
            yield return set;
        }

        var program = OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet";
        foreach (var folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator))
        {
            var file = new FileInfo(Path.Combine(folder, program));
            if (folder.Length > 0 && file.Exists)
            {
                yield return Path.GetDirectoryName(file.ResolveLinkTarget(true)?.FullName ?? file.FullName)!;
            }
        }

        // <root>/shared/Microsoft.NETCore.App/<version>/
        yield return Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));
    }

    private static string? Newest(string pack) => !Directory.Exists(pack) ? null : Directory.GetDirectories(pack)
        .OrderByDescending(f => Version.TryParse(Path.GetFileName(f).Split('-')[0], out var v) ? v : new Version())
        .ThenByDescending(f => f, StringComparer.Ordinal)
        .Select(f => Path.Combine(f, "ref", "net10.0"))
        .FirstOrDefault(Directory.Exists);

    /// <summary>Members of one or more files, de-duplicated over all of them.</summary>
    internal sealed class Collector
    {
        private readonly HashSet<string> texts = new(StringComparer.Ordinal);
        private readonly Dictionary<string, int> templates = new(StringComparer.Ordinal);

        public List<CorpusPart> Parts { get; } = [];

        public int Damaged { get; private set; }

        public int Duplicates { get; private set; }

        public void AddFile(string path)
        {
            try
            {
                using var stream = File.OpenRead(path);
                Add(XDocument.Load(stream, LoadOptions.PreserveWhitespace));
            }
            catch (XmlException)
            {
                Damaged++;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new PtpException("Read XML documentation", $"'{path}': {e.Message}", "a readable file",
                    "Check its permissions.", e);
            }
        }

        public void Add(XDocument file)
        {
            foreach (var member in file.Descendants("member"))
            {
                if (CorpusXmlText.Member(member) is not { } entry)
                {
                    continue;
                }

                var text = CorpusText.Clean(entry.Text, out _);
                var count = templates.GetValueOrDefault(entry.Whole);
                if (CorpusText.IsDamaged(text))
                {
                    Damaged++;
                }
                else if (count >= MostPerTemplate || !texts.Add(text))
                {
                    Duplicates++;
                }
                else
                {
                    templates[entry.Whole] = count + 1;
                    Parts.Add(new CorpusPart(Type((string?)member.Attribute("name") ?? ""), entry.Topic,
                        entry.Heading.Length > 0 ? entry.Heading + "\n" + text : text));
                }
            }
        }

        /// <summary>The full name of the type a member belongs to.</summary>
        private static string Type(string reference)
        {
            if (reference.StartsWith("T:", StringComparison.Ordinal))
            {
                return reference[2..];
            }

            var end = reference.IndexOf('(', StringComparison.Ordinal);
            var name = end < 0 ? reference : reference[..end];
            var dot = name.LastIndexOf('.');
            return dot > 2 ? name[2..dot] : name;
        }
    }
}
