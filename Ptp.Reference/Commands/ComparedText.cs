// What systems are compared on: prompts with the corpus they stand for, and the text that retrieval may read.
// Retrieval reads the documents that are not continued. Without a text the prompts that come with ptp are used, each a corpus of its own.
// Refuses: text too short for prompts.

using Ptp.Core;
using Ptp.Core.Decoding.Drafters;

namespace Ptp.Reference.Commands;

/// <summary>Prompts, and documents beside them.</summary>
/// <param name="Prompts">Corpus and token ids, in the order of decoding.</param>
/// <param name="Tasks">Names of the corpora.</param>
/// <param name="Others">Documents that are not continued.</param>
internal sealed record ComparedText(IReadOnlyList<(int Task, int[] Prompt)> Prompts, IReadOnlyList<string> Tasks, IReadOnlyList<int[]> Others)
{
    /// <summary>Reads the given folders and files, else models/heldout, else takes the built-in prompts.</summary>
    /// <param name="call">The run, for progress and notes.</param>
    /// <param name="model">Whose tokens.</param>
    /// <param name="paths">Folders and files.</param>
    /// <param name="count">Prompts per corpus.</param>
    /// <param name="tokens">Tokens of each, the begin token not counted; built-in prompts may be shorter.</param>
    public static ComparedText Read(Call call, ModelChoice model, IReadOnlyList<string> paths, int count, int tokens)
    {
        int[] begin = model.BeginToken is { } id ? [id] : [];
        if (paths.Count == 0 && ModelChoice.Default(HeldOutText.Folder) is null)
        {
            call.Out.Note("No --data: the built-in prompts are continued, and retrieval has nothing to read but the text itself.");
            return new ComparedText(
                [.. DemoVerb.BuiltInPrompts.Select((text, task) => (task, (int[])[.. begin, .. model.Tokenizer.Encode(text).Take(tokens)]))],
                DemoVerb.BuiltInPrompts, []);
        }

        var corpora = TrainingInput.Tokens(call, HeldOutText.Read(paths), model.Tokenizer, new Dictionary<string, double>());
        var chosen = corpora.Select(c => Evaluation.Chosen(c, count, tokens)).ToList();
        Guard.Require(chosen.Any(c => c.Count > 0), "Compare", $"no document with {tokens} tokens",
            "longer held-out documents", "Lower --prompt-tokens, or give other text with --data.");
        return new ComparedText(
            [.. chosen.SelectMany((c, task) => c.Select(document => (task, (int[])[.. begin, .. document[..tokens]])))],
            [.. corpora.Select(c => c.Name)],
            [.. corpora.SelectMany(c => c.Documents).Except(chosen.SelectMany(c => c))]);
    }

    /// <summary>The other documents in order of their suffixes; null if there are none.</summary>
    public SuffixArray? Sorted() => Others.Count > 0 ? new SuffixArray(Others) : null;

    /// <summary>The automaton of the other documents.</summary>
    public SuffixAutomaton Automaton()
    {
        var automaton = new SuffixAutomaton();
        foreach (var token in Others.SelectMany(document => (int[])[.. document, SuffixArray.Boundary]))
        {
            automaton.Append(token);
        }

        return automaton;
    }
}
