// One packed step of distillation (PTP section 3.3): S context tokens of several texts, and completions of up to N slots.
//   slot l of a completion that starts at s carries u of t_{s+l}, sees tokens < s of its text and slots <= l of its completion;
//   its target is t_{s+l+shift} (shift 1 for C-PTP), its position that of the token before. Refuses: slots past a text's end.

using System.Runtime.InteropServices;
using Ptp.Core.Tensors;
using Ptp.Core.Training;

namespace Ptp.Core.Paper;

/// <summary>A run of slots: text, first target, number of slots.</summary>
/// <param name="Text">Index of the text in the batch.</param>
/// <param name="Start">Index, in its text, of the token whose u slot 0 carries.</param>
/// <param name="Count">Slots.</param>
public readonly record struct SlotRun(int Text, int Start, int Count);

/// <summary>Context and slots of one step; the same object, and memory, can serve all steps.</summary>
public sealed class DistillationBatch
{
    private readonly int _numbersPerToken;
    private readonly double _gamma;
    private readonly int _shift;
    private readonly List<Completion> _texts = [];
    private readonly List<SlotRun> _runs = [];
    private readonly List<int> _textStarts = [];
    private readonly List<int> _ids = [];
    private readonly List<int> _positions = [];
    private readonly List<int> _slotPositions = [];
    private readonly List<int> _lastTokens = [];
    private readonly List<int> _targets = [];
    private readonly List<int> _targetPlaces = [];
    private readonly List<int> _earlier = [];
    private readonly List<int> _before = [];
    private readonly List<float> _weights = [];
    private readonly List<float> _u = [];
    private readonly List<float> _targetU = [];
    private readonly List<(int Text, int Start)> _starts = [];
    private readonly Visibility _contextVisibility = new();
    private readonly Visibility _slotVisibility = new();

    /// <summary>An empty batch.</summary>
    /// <param name="numbersPerToken">Width of u.</param>
    /// <param name="gamma">Weight of slot l is gamma^l.</param>
    /// <param name="shift">How many tokens a slot's target lies behind the u it carries, see <see cref="SlotModel.Shift"/>.</param>
    public DistillationBatch(int numbersPerToken, double gamma, int shift) =>
        (_numbersPerToken, _gamma, _shift) = (numbersPerToken, gamma, shift);

    /// <summary>A batch of given texts and runs.</summary>
    /// <param name="texts">Texts with their u.</param>
    /// <param name="runs">Completions.</param>
    /// <param name="numbersPerToken">Width of u.</param>
    /// <param name="gamma">Weight of slot l is gamma^l.</param>
    /// <param name="shift">How many tokens a slot's target lies behind the u it carries, see <see cref="SlotModel.Shift"/>.</param>
    public DistillationBatch(
        IReadOnlyList<Completion> texts, IReadOnlyList<SlotRun> runs, int numbersPerToken, double gamma, int shift = 0)
        : this(numbersPerToken, gamma, shift)
    {
        foreach (var text in texts)
        {
            Add(text);
        }

        foreach (var run in runs)
        {
            Add(run);
        }
    }

    /// <summary>Context tokens of all texts, [S].</summary>
    public ReadOnlySpan<int> Ids => CollectionsMarshal.AsSpan(_ids);

    /// <summary>Their positions, [S].</summary>
    public ReadOnlySpan<int> Positions => CollectionsMarshal.AsSpan(_positions);

    /// <summary>Completions.</summary>
    public ReadOnlySpan<SlotRun> Runs => CollectionsMarshal.AsSpan(_runs);

    /// <summary>Positions of slots, [R].</summary>
    public Span<int> SlotPositions => CollectionsMarshal.AsSpan(_slotPositions);

    /// <summary>Auxiliaries of slots, [R * numbers per token].</summary>
    public Span<float> U => CollectionsMarshal.AsSpan(_u);

    /// <summary>Auxiliaries that picked the targets, [R * numbers per token]; the slots' own unless the targets are shifted.</summary>
    public ReadOnlySpan<float> TargetU => CollectionsMarshal.AsSpan(_targetU);

    /// <summary>The last known token before each slot's run, [R].</summary>
    public ReadOnlySpan<int> LastTokens => CollectionsMarshal.AsSpan(_lastTokens);

    /// <summary>Tokens the slots must predict, [R].</summary>
    public ReadOnlySpan<int> Targets => CollectionsMarshal.AsSpan(_targets);

    /// <summary>Where the targets stand among <see cref="Ids"/>, [R].</summary>
    public ReadOnlySpan<int> TargetPlaces => CollectionsMarshal.AsSpan(_targetPlaces);

    /// <summary>Weights of slots, [R].</summary>
    public Span<float> Weights => CollectionsMarshal.AsSpan(_weights);

    /// <summary>Tokens of a text.</summary>
    public int[] Text(int index) => Ids.Slice(_textStarts[index], _texts[index].Tokens.Length).ToArray();

    /// <summary>Where the first token whose u a run carries stands among <see cref="Ids"/>.</summary>
    public int Place(SlotRun run) => _textStarts[run.Text] + run.Start;

    /// <summary>The places <paramref name="distance"/> tokens before the targets', [R]; they stand until the next call.</summary>
    public ReadOnlySpan<int> PlacesBefore(int distance)
    {
        _before.Clear();
        foreach (var place in _targetPlaces)
        {
            _before.Add(place - distance);
        }

        return CollectionsMarshal.AsSpan(_before);
    }

    /// <summary>
    /// Tokens 1 to <paramref name="history"/> places before each target, [history * R]; before a text's start its first. They stand
    /// until the next call.
    /// </summary>
    public ReadOnlySpan<int> EarlierTokens(int history)
    {
        _earlier.Clear();
        for (var distance = 1; distance <= history; distance++)
        {
            var row = 0;
            foreach (var run in _runs)
            {
                for (var end = row + run.Count; row < end; row++)
                {
                    _earlier.Add(_ids[Math.Max(_textStarts[run.Text], _targetPlaces[row] - distance)]);
                }
            }
        }

        return CollectionsMarshal.AsSpan(_earlier);
    }

    /// <summary>Draws texts to fill the context and runs to fill the slot rows, in place of what the batch held.</summary>
    /// <param name="completions">Data.</param>
    /// <param name="slots">Most slots of a run.</param>
    /// <param name="options">Sizes.</param>
    /// <param name="random">Stream of this step.</param>
    /// <param name="sureSlots">Slots that every run has before it may end early.</param>
    public DistillationBatch Draw(
        IReadOnlyList<Completion> completions, int slots, DistillationOptions options, RandomStream random, int sureSlots)
    {
        Clear();
        for (var (room, failures) = (options.ContextTokens, 0); failures < 8;)
        {
            var text = completions[random.NextInt(completions.Count)];
            if (text.Tokens.Length > room || text.Tokens.Length <= text.PromptLength + _shift)
            {
                failures++;
                continue;
            }

            for (var start = text.PromptLength; start + _shift < text.Tokens.Length; start++)
            {
                _starts.Add((_texts.Count, start));
            }

            room -= text.Tokens.Length;
            Add(text);
        }

        Guard.Require(_starts.Count > 0, "Distill", $"a context of {options.ContextTokens} tokens",
            "one that holds a whole completion", "Use more context tokens per step.");
        for (var rows = 0; rows < options.SlotRows;)
        {
            var (text, start) = _starts[random.NextInt(_starts.Count)];
            var most = Math.Min(slots, Math.Min(options.SlotRows - rows, _texts[text].Tokens.Length - start - _shift));
            var count = Math.Min(sureSlots, most);
            while (count < most && random.NextDouble() < options.Continuation)
            {
                count++;
            }

            Add(new SlotRun(text, start, count));
            rows += count;
        }

        return this;
    }

    /// <summary>Causal within each text; it stands until the next call.</summary>
    public Visibility ContextVisibility()
    {
        AddContext(_contextVisibility.Clear());
        return _contextVisibility;
    }

    /// <summary>Visibility of slot rows, the context being cached, or being the first rows of the same call; it stands until the next call.</summary>
    public Visibility SlotVisibility(bool cached)
    {
        var visibility = _slotVisibility.Clear();
        if (!cached)
        {
            AddContext(visibility);
        }

        foreach (var run in _runs)
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

    private void Clear()
    {
        _texts.Clear();
        _runs.Clear();
        _starts.Clear();
        foreach (var numbers in (ReadOnlySpan<List<int>>)
            [_textStarts, _ids, _positions, _slotPositions, _lastTokens, _targets, _targetPlaces])
        {
            numbers.Clear();
        }

        foreach (var numbers in (ReadOnlySpan<List<float>>)[_weights, _u, _targetU])
        {
            numbers.Clear();
        }
    }

    private void Add(Completion text)
    {
        _texts.Add(text);
        _textStarts.Add(_ids.Count);
        for (var position = 0; position < text.Tokens.Length; position++)
        {
            _ids.Add(text.Tokens[position]);
            _positions.Add(position);
        }
    }

    private void Add(SlotRun run)
    {
        var text = _texts[run.Text];
        Guard.Require(run.Start >= text.PromptLength && run.Start + run.Count + _shift <= text.Tokens.Length, "Distill",
            $"slots {run.Start} to {run.Start + run.Count + _shift}",
            $"slots within {text.PromptLength} to {text.Tokens.Length}", "Only generated tokens have u.");
        _runs.Add(run);
        for (var slot = 0; slot < run.Count; slot++)
        {
            _slotPositions.Add(run.Start + slot + _shift - 1);
            _lastTokens.Add(text.Tokens[run.Start - 1]);
            _targets.Add(text.Tokens[run.Start + slot + _shift]);
            _targetPlaces.Add(_textStarts[run.Text] + run.Start + slot + _shift);
            _weights.Add((float)Math.Pow(_gamma, slot));
            var g = run.Start + slot - text.PromptLength;
            text.U.Fill(g, Next(_u));
            text.U.Fill(g + _shift, Next(_targetU));
        }
    }

    /// <summary>Room for the numbers of one more token.</summary>
    private Span<float> Next(List<float> numbers)
    {
        CollectionsMarshal.SetCount(numbers, numbers.Count + _numbersPerToken);
        return CollectionsMarshal.AsSpan(numbers)[^_numbersPerToken..];
    }

    private void AddContext(Visibility visibility)
    {
        foreach (var text in _texts)
        {
            visibility.AddCausal(0, 0, text.Tokens.Length);
        }
    }
}
