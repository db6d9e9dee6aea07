// One packed step of distillation (PTP section 3.3): S context tokens of several texts, and completions of up to N slots.
//   slot l of a completion that starts at s carries u of t_{s+l}, sees tokens < s of its text and slots <= l of its completion;
//   its target is t_{s+l+shift} (shift 1 for C-PTP), its position that of the token before. Refuses: slots past a text's end.

using Ptp.Core.Tensors;
using Ptp.Core.Training;

namespace Ptp.Core.Paper;

/// <summary>A run of slots: text, first target, number of slots.</summary>
/// <param name="Text">Index of the text in the batch.</param>
/// <param name="Start">Index, in its text, of the token whose u slot 0 carries.</param>
/// <param name="Count">Slots.</param>
public readonly record struct SlotRun(int Text, int Start, int Count);

/// <summary>Context and slots of one step.</summary>
public sealed class DistillationBatch
{
    private readonly List<int> _textStarts = [];
    private readonly List<int> _textLengths = [];

    /// <summary>A batch of given texts and runs.</summary>
    /// <param name="texts">Texts with their u.</param>
    /// <param name="runs">Completions.</param>
    /// <param name="numbersPerToken">Width of u.</param>
    /// <param name="gamma">Weight of slot l is gamma^l.</param>
    /// <param name="shift">How many tokens a slot's target lies behind the u it carries, see <see cref="SlotModel.Shift"/>.</param>
    public DistillationBatch(
        IReadOnlyList<Completion> texts, IReadOnlyList<SlotRun> runs, int numbersPerToken, double gamma, int shift = 0)
    {
        Runs = runs;
        foreach (var text in texts)
        {
            _textStarts.Add(_textLengths.Sum());
            _textLengths.Add(text.Tokens.Length);
        }

        Ids = [.. texts.SelectMany(t => t.Tokens)];
        Positions = [.. texts.SelectMany(t => Enumerable.Range(0, t.Tokens.Length))];
        var rows = runs.Sum(r => r.Count);
        SlotPositions = new int[rows];
        LastTokens = new int[rows];
        Targets = new int[rows];
        TargetPlaces = new int[rows];
        Weights = new float[rows];
        U = new float[rows * numbersPerToken];
        TargetU = new float[rows * numbersPerToken];
        var row = 0;
        foreach (var run in runs)
        {
            var text = texts[run.Text];
            Guard.Require(run.Start >= text.PromptLength && run.Start + run.Count + shift <= text.Tokens.Length, "Distill",
                $"slots {run.Start} to {run.Start + run.Count + shift}",
                $"slots within {text.PromptLength} to {text.Tokens.Length}", "Only generated tokens have u.");
            for (var slot = 0; slot < run.Count; slot++, row++)
            {
                SlotPositions[row] = run.Start + slot + shift - 1;
                LastTokens[row] = text.Tokens[run.Start - 1];
                Targets[row] = text.Tokens[run.Start + slot + shift];
                TargetPlaces[row] = _textStarts[run.Text] + run.Start + slot + shift;
                Weights[row] = (float)Math.Pow(gamma, slot);
                var g = run.Start + slot - text.PromptLength;
                text.U.Fill(g, U.AsSpan(row * numbersPerToken, numbersPerToken));
                text.U.Fill(g + shift, TargetU.AsSpan(row * numbersPerToken, numbersPerToken));
            }
        }
    }

    /// <summary>Context tokens of all texts, [S].</summary>
    public int[] Ids { get; }

    /// <summary>Their positions, [S].</summary>
    public int[] Positions { get; }

    /// <summary>Completions.</summary>
    public IReadOnlyList<SlotRun> Runs { get; }

    /// <summary>Tokens of a text.</summary>
    public int[] Text(int index) => Ids.AsSpan(_textStarts[index], _textLengths[index]).ToArray();

    /// <summary>Where the first token whose u a run carries stands among <see cref="Ids"/>.</summary>
    public int Place(SlotRun run) => _textStarts[run.Text] + run.Start;

    /// <summary>Positions of slots, [R].</summary>
    public int[] SlotPositions { get; }

    /// <summary>Auxiliaries of slots, [R * numbers per token].</summary>
    public float[] U { get; }

    /// <summary>Auxiliaries that picked the targets, [R * numbers per token]; the slots' own unless the targets are shifted.</summary>
    public float[] TargetU { get; }

    /// <summary>The last known token before each slot's run, [R].</summary>
    public int[] LastTokens { get; }

    /// <summary>Tokens the slots must predict, [R].</summary>
    public int[] Targets { get; }

    /// <summary>Where the targets stand among <see cref="Ids"/>, [R].</summary>
    public int[] TargetPlaces { get; }

    /// <summary>Weights of slots, [R].</summary>
    public float[] Weights { get; }

    /// <summary>Tokens 1 to <paramref name="history"/> places before each target, [history][R]; before a text's start its first.</summary>
    public int[][] EarlierTokens(int history)
    {
        var earlier = Enumerable.Range(0, history).Select(_ => new int[Targets.Length]).ToArray();
        var row = 0;
        foreach (var run in Runs)
        {
            for (var slot = 0; slot < run.Count; slot++, row++)
            {
                for (var i = 0; i < history; i++)
                {
                    earlier[i][row] = Ids[Math.Max(_textStarts[run.Text], TargetPlaces[row] - 1 - i)];
                }
            }
        }

        return earlier;
    }

    /// <summary>Draws texts to fill the context and runs to fill the slot rows.</summary>
    /// <param name="completions">Data.</param>
    /// <param name="ptp">For the number of slots and what they predict.</param>
    /// <param name="options">Sizes.</param>
    /// <param name="random">Stream of this step.</param>
    /// <param name="sureSlots">Slots that every run has before it may end early.</param>
    public static DistillationBatch Draw(
        IReadOnlyList<Completion> completions, SlotModel ptp, DistillationOptions options, RandomStream random,
        int sureSlots)
    {
        var texts = new List<Completion>();
        var starts = new List<(int Text, int Start)>();
        for (var (room, failures) = (options.ContextTokens, 0); failures < 8;)
        {
            var text = completions[random.NextInt(completions.Count)];
            if (text.Tokens.Length > room || text.Tokens.Length <= text.PromptLength + ptp.Shift)
            {
                failures++;
                continue;
            }

            for (var start = text.PromptLength; start + ptp.Shift < text.Tokens.Length; start++)
            {
                starts.Add((texts.Count, start));
            }

            room -= text.Tokens.Length;
            texts.Add(text);
        }

        Guard.Require(starts.Count > 0, "Distill", $"a context of {options.ContextTokens} tokens",
            "one that holds a whole completion", "Use more context tokens per step.");
        var runs = new List<SlotRun>();
        for (var rows = 0; rows < options.SlotRows;)
        {
            var (text, start) = starts[random.NextInt(starts.Count)];
            var most = Math.Min(ptp.Slots, Math.Min(options.SlotRows - rows, texts[text].Tokens.Length - start - ptp.Shift));
            var count = Math.Min(sureSlots, most);
            while (count < most && random.NextDouble() < options.Continuation)
            {
                count++;
            }

            runs.Add(new SlotRun(text, start, count));
            rows += count;
        }

        return new DistillationBatch(texts, runs, ptp.NumbersPerToken, options.Gamma, ptp.Shift);
    }

    /// <summary>Causal within each text.</summary>
    public Visibility ContextVisibility()
    {
        var visibility = new Visibility();
        AddContext(visibility);
        return visibility;
    }

    /// <summary>Visibility of slot rows, the context being cached, or being the first rows of the same call.</summary>
    public Visibility SlotVisibility(bool cached)
    {
        var visibility = new Visibility();
        if (!cached)
        {
            AddContext(visibility);
        }

        foreach (var run in Runs)
        {
            var first = visibility.Rows;
            var text = _textStarts[run.Text];
            for (var slot = 0; slot < run.Count; slot++)
            {
                visibility.AddRow(cached ? text : 0, cached ? text + run.Start : 0);
                if (!cached)
                {
                    visibility.AddRange(text, text + run.Start);
                }

                visibility.AddRange(first, first + slot + 1);
            }
        }

        return visibility;
    }

    private void AddContext(Visibility visibility)
    {
        foreach (var length in _textLengths)
        {
            visibility.AddCausal(0, 0, length);
        }
    }
}
