// ptp corpus: text files and the SDK's XML documentation become a prepared corpus with held-out documents.
// Source: CorpusBuilder and its readers do the work; this file only names the sources.
// Refuses: a run without sources; damaged parts are left out and counted.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core.Training;
using Spectre.Console;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Prepares a corpus.</summary>
internal sealed class CorpusVerb : Verb
{
    private readonly Option<string?> _output = Values.Text(
        "--output", "Folder to write: train/, heldout/ and corpus.json.", "FOLDER");
    private readonly Option<string[]> _stories = Values.Texts(
        "--stories", "File of short texts with a line <|endoftext|> after each, or NAME=FILE; the name is 'stories' by default.", "FILE");
    private readonly Option<string[]> _plain = Values.Texts(
        "--plain", "File of long texts (paragraphs with blank lines between them), as NAME=FILE.", "NAME=FILE");
    private readonly Option<bool> _sdk = Values.Switch(
        "--sdk-docs", "The XML documentation of the installed .NET SDK, as 'dotnet'.");
    private readonly Option<string[]> _xml = Values.Texts(
        "--xml-docs", "Folder with XML documentation files, as NAME=FOLDER.", "NAME=FOLDER");
    private readonly Option<ulong> _seed = Values.Seed("Another seed holds out other documents.", 0);

    public CorpusVerb()
        : base(
            "corpus",
            "Prepare text for training: clean it, drop duplicates and damaged parts, and hold out 3 to 10 % by block (a speech, "
            + "a type, a run of paragraphs), so that no held-out text has a near copy in training. Same input, same bytes out.",
            "ptp corpus --output runs/corpus --stories tales.txt --sdk-docs",
            "ptp corpus --output runs/corpus --plain moby=moby-dick.txt --plain law=speeches.txt")
    {
        _output.Aliases.Add("--out");
        _output.Required = true;
        foreach (var option in (Option[])[_output, _stories, _plain, _sdk, _xml, _seed])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var builder = new CorpusBuilder { Seed = call.Get(_seed) };
        foreach (var source in call.Get(_stories) ?? [])
        {
            var (name, path) = source.Contains('=', StringComparison.Ordinal) && !File.Exists(source)
                ? Values.Pair("--stories", source, "stories=FILE")
                : ("stories", source);
            builder.Add(CorpusSources.Stories(path, name));
        }

        foreach (var source in call.Get(_plain) ?? [])
        {
            var (name, path) = Values.Pair("--plain", source, "speeches=FILE");
            builder.Add(CorpusSources.Plain(name, path));
        }

        foreach (var source in call.Get(_xml) ?? [])
        {
            var (name, path) = Values.Pair("--xml-docs", source, "docs=FOLDER");
            builder.Add(CorpusXmlDocs.Read([path], name));
        }

        if (call.Get(_sdk))
        {
            call.Out.Note("Reading the SDK's XML documentation ...");
            builder.Add(CorpusXmlDocs.Read(CorpusXmlDocs.SdkFolders()));
        }

        call.Cancellation.ThrowIfCancellationRequested();
        Report(call.Out, call.Get(_output)!, builder.Build(call.Get(_output)!));
        return ErrorOutput.Done;
    }

    private static void Report(Output output, string folder, IReadOnlyList<CorpusEntry> entries)
    {
        var table = new Table().AddColumns("corpus", "train docs", "train MB", "held-out docs", "held-out MB", "duplicates", "damaged");
        var corpora = new JsonArray();
        foreach (var entry in entries)
        {
            table.AddRow(
                entry.Reading.Name, Invariant($"{entry.Train.Documents}"), Invariant($"{entry.Train.Bytes / 1e6:0.00}"),
                Invariant($"{entry.HeldOut.Documents}"), Invariant($"{entry.HeldOut.Bytes / 1e6:0.00}"),
                Invariant($"{entry.Reading.Duplicates}"), Invariant($"{entry.Reading.Damaged}"));
            corpora.Add(new JsonObject
            {
                ["name"] = entry.Reading.Name,
                ["train_documents"] = entry.Train.Documents,
                ["train_bytes"] = entry.Train.Bytes,
                ["heldout_documents"] = entry.HeldOut.Documents,
                ["heldout_bytes"] = entry.HeldOut.Bytes,
                ["duplicates"] = entry.Reading.Duplicates,
                ["damaged"] = entry.Reading.Damaged,
                ["dropped_as_known_template"] = entry.Dropped,
            });
        }

        output.Console.Write(table);
        output.Line($"Written to {folder}. Next: ptp train --corpus {folder} --output runs/base");
        output.Result(new JsonObject { ["folder"] = folder, ["corpora"] = corpora });
    }
}
