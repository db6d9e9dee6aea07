// Plain sampling of many texts at once: one row per text and call, t_g = Pick(u_g, P), each text in its own cache region.
// By row independence every text equals, to the bit, the one that Autoregressive makes alone from the same u.
// Refuses: prompts that leave no room. Used where throughput counts: teacher completions (PTP section 3.2).

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Training;

/// <summary>A text to be completed with known u.</summary>
/// <param name="Prompt">Its beginning, at least one token.</param>
/// <param name="U">Auxiliaries of the generated tokens.</param>
/// <param name="MaxNewTokens">Most tokens to generate.</param>
public sealed record SamplingJob(int[] Prompt, Auxiliaries U, int MaxNewTokens);

/// <summary>Samples texts in batches.</summary>
public sealed class BatchedSampling(Transformer model, SamplingOptions law, PickRule rule, int batch)
{
    private readonly Tape _tape = new(model.Backend);
    private readonly KvCache _cache = new(model.Backend, model.Config, checked(batch * model.Config.MaxContext));
    private readonly LogitsTransform _transform = new(law, model.Config.VocabularySize);
    private readonly Visibility _visibility = new();

    /// <summary>Completes up to <c>batch</c> jobs; each result is prompt + generated tokens.</summary>
    public int[][] Run(IReadOnlyList<SamplingJob> jobs)
    {
        var context = model.Config.MaxContext;
        Guard.Require(jobs.Count <= batch && jobs.All(j => j.Prompt.Length > 0 && j.Prompt.Length < context),
            "Sample a batch", $"{jobs.Count} texts", $"at most {batch}, with prompts of 1 to {context - 1} tokens",
            "Shorten the prompts or enlarge the batch.");
        var texts = jobs.Select(j => new List<int>(j.Prompt)).ToArray();
        Prefill(jobs);
        var active = Enumerable.Range(0, jobs.Count).ToList();
        var logits = Array.Empty<float>();
        var picked = new float[model.Config.VocabularySize];
        var u = new float[rule.NumbersPerToken(model.Config.VocabularySize)];
        while (active.Count > 0)
        {
            var output = Call([.. active.Select(i => (i, texts[i][^1], texts[i].Count - 1))]);
            Array.Resize(ref logits, output.Length);
            model.Backend.Download(output, logits);
            for (var row = active.Count - 1; row >= 0; row--)
            {
                var (i, vocabulary) = (active[row], output.Columns);
                _transform.ToLaw(logits.AsSpan(row * vocabulary, vocabulary), picked);
                var g = texts[i].Count - jobs[i].Prompt.Length;
                jobs[i].U.Fill(g, u);
                var token = rule.Pick(u, picked);
                texts[i].Add(token);
                if (g + 1 >= jobs[i].MaxNewTokens || texts[i].Count >= context
                    || model.Config.EndTokens.Contains(token))
                {
                    active.RemoveAt(row);
                }
            }
        }

        return [.. texts.Select(t => t.ToArray())];
    }

    /// <summary>One row per text: its last token, at its position, seeing its own region of the cache.</summary>
    private Tensor Call((int Text, int Token, int Position)[] rows)
    {
        var region = model.Config.MaxContext;
        _visibility.Clear();
        for (var row = 0; row < rows.Length; row++)
        {
            var start = rows[row].Text * region;
            _visibility.AddRow(start, start + rows[row].Position).AddRange(row, row + 1);
        }

        _tape.Reset();
        var slots = rows.Select(r => r.Text * region + r.Position).ToArray();
        var call = new CallRows([.. rows.Select(r => r.Position)], _visibility, _cache, slots);
        return model.Forward(_tape, [.. rows.Select(r => r.Token)], call).Value;
    }

    private void Prefill(IReadOnlyList<SamplingJob> jobs)
    {
        var region = model.Config.MaxContext;
        for (var text = 0; text < jobs.Count; text++)
        {
            var ids = jobs[text].Prompt[..^1];
            if (ids.Length == 0)
            {
                continue;
            }

            _tape.Reset();
            var x = _tape.Empty(ids.Length, model.Config.HiddenSize);
            _tape.Embedding(model.Embeddings, ids, x);
            var positions = Enumerable.Range(0, ids.Length).ToArray();
            var slots = positions.Select(p => text * region + p).ToArray();
            model.Remember(_tape, x, new CallRows(positions, Visibility.Causal(0, ids.Length), _cache, slots));
        }
    }
}
