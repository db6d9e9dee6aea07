// The one way from logits to the law a token is drawn from: temperature, then top-k, then top-p, then renormalise.
// Source: the sampling chain of the paper; zero temperature is the one-hot law of the largest logit.
// Refuses: NaN or +infinite logits, logits without a finite entry, temperature < 0, top-k < 0, top-p outside (0, 1].

namespace Ptp.Reference.Oracle;

/// <summary>Settings of the chain, and the chain.</summary>
/// <param name="Temperature">0 for argmax; ties go to the lowest id.</param>
/// <param name="TopK">Keeps the k most likely tokens; 0 keeps all.</param>
/// <param name="TopP">Keeps a token while the mass of the more likely ones is below top-p.</param>
public sealed record ScalarLaw(double Temperature = 1, int TopK = 0, double TopP = 1)
{
    /// <summary>The law, [V], from logits, [V]. Among equal logits the lower id counts as the more likely.</summary>
    public double[] FromLogits(double[] logits)
    {
        Check(logits);
        var order = Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id]).ThenBy(id => id).ToArray();
        if (Temperature == 0)
        {
            return Keep([order[0]], [.. logits.Select(_ => 1.0)]);
        }

        // The maximum leaves before the division: a tiny temperature must not make infinities of finite logits.
        var largest = logits[order[0]];
        var law = ScalarOps.Softmax([.. logits.Select(logit => (logit - largest) / Temperature)], 1, logits.Length);
        if (TopK > 0)
        {
            law = Keep(order.Take(TopK), law);
        }

        return TopP < 1 ? Keep(Nucleus(order, law), law) : law;
    }

    private List<int> Nucleus(int[] order, double[] law)
    {
        var kept = new List<int>();
        var before = 0.0;
        foreach (var id in order)
        {
            if (before >= TopP)
            {
                break;
            }

            kept.Add(id);
            before += law[id];
        }

        return kept;
    }

    private static double[] Keep(IEnumerable<int> kept, double[] law)
    {
        var result = new double[law.Length];
        foreach (var id in kept)
        {
            result[id] = law[id];
        }

        var total = result.Sum();
        return [.. result.Select(probability => probability / total)];
    }

    private void Check(double[] logits)
    {
        if (!(Temperature >= 0) || double.IsInfinity(Temperature) || TopK < 0 || !(TopP > 0 && TopP <= 1))
        {
            throw new ArgumentException($"{this}: need temperature >= 0, top-k >= 0, top-p in (0, 1].");
        }

        if (!logits.All(logit => logit < double.PositiveInfinity) || !logits.Any(double.IsFinite)) // NaN fails "<"
        {
            throw new ArgumentException("Logits must be finite or -infinity, and not all -infinity.", nameof(logits));
        }
    }
}
