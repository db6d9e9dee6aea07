// From sources to a prepared corpus folder: read, clean, split, join, write, report. Same input, same bytes out.
// The logic behind the verb "ptp corpus": one call per source, then Build.
// Refuses: no source, two corpora of one name, a source without a single document.

using System.Text.Json;
using Ptp.Core.Formats;

namespace Ptp.Core.Training;

/// <summary>What was written for one corpus.</summary>
/// <param name="Reading">The source with its damage counts.</param>
/// <param name="Train">File of the training side.</param>
/// <param name="HeldOut">File of the held-out side.</param>
/// <param name="Dropped">Held-out parts dropped because training has their template.</param>
public sealed record CorpusEntry(CorpusReading Reading, CorpusFile Train, CorpusFile HeldOut, int Dropped);

/// <summary>Collects sources and writes the folder.</summary>
public sealed class CorpusBuilder
{
    private readonly List<CorpusReading> readings = [];

    /// <summary>Another seed holds out other blocks.</summary>
    public ulong Seed { get; init; }

    /// <summary>Adds a source: see <see cref="CorpusSources"/> and <see cref="CorpusXmlDocs"/>.</summary>
    /// <param name="reading">What it gave.</param>
    public CorpusBuilder Add(CorpusReading reading)
    {
        ArgumentNullException.ThrowIfNull(reading);
        CorpusFolder.CheckName(reading.Name);
        Guard.Require(readings.TrueForAll(r => r.Name != reading.Name), "Prepare a corpus",
            $"two sources named '{reading.Name}'", "one name for each", "Rename one.");
        Guard.Require(reading.Parts.Count > 0, "Prepare a corpus",
            $"'{reading.Name}' with no text ({reading.Damaged} parts were damaged)", "at least one document",
            "Check the file and its encoding, which must be UTF-8.");
        readings.Add(reading);
        return this;
    }

    /// <summary>Splits every source and writes train/, heldout/ and corpus.json.</summary>
    /// <param name="folder">Created if absent; files of the same names are replaced.</param>
    public IReadOnlyList<CorpusEntry> Build(string folder)
    {
        Guard.Require(readings.Count > 0, "Prepare a corpus", "no source", "at least one",
            "Give --stories FILE, --plain NAME=FILE or --sdk-docs.");
        var entries = new List<CorpusEntry>();
        foreach (var reading in readings)
        {
            var split = CorpusSplit.Of(reading, Seed);
            entries.Add(new CorpusEntry(
                reading,
                CorpusFolder.Write(folder, "train", reading.Name, split.Train),
                CorpusFolder.Write(folder, "heldout", reading.Name, split.HeldOut),
                split.Dropped));
        }

        AtomicFile.Write(Path.Combine(folder, "corpus.json"), stream => WriteIndex(stream, entries));
        return entries;
    }

    private void WriteIndex(Stream stream, List<CorpusEntry> entries)
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteNumber("version", 1);
        json.WriteNumber("seed", Seed);
        json.WriteString("separator", CorpusText.Separator);
        json.WriteStartArray("corpora");
        foreach (var entry in entries)
        {
            json.WriteStartObject();
            json.WriteString("name", entry.Reading.Name);
            json.WriteStartArray("sources");
            foreach (var source in entry.Reading.Sources)
            {
                json.WriteStringValue(source);
            }

            json.WriteEndArray();
            json.WriteNumber("parts", entry.Reading.Parts.Count);
            json.WriteNumber("damaged", entry.Reading.Damaged);
            json.WriteNumber("control_characters", entry.Reading.ControlCharacters);
            json.WriteNumber("duplicates", entry.Reading.Duplicates);
            json.WriteNumber("dropped_as_known_template", entry.Dropped);
            WriteFile(json, "train", entry.Train);
            WriteFile(json, "heldout", entry.HeldOut);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteFile(Utf8JsonWriter json, string side, CorpusFile file)
    {
        json.WriteStartObject(side);
        json.WriteNumber("documents", file.Documents);
        json.WriteNumber("characters", file.Characters);
        json.WriteNumber("bytes", file.Bytes);
        json.WriteString("sha256", file.Sha256);
        json.WriteEndObject();
    }
}
