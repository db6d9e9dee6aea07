// --weights: how a model's matrices are kept for products: as they are, rounded to BF16, or as bytes with scales.
// A rounded model is another model with laws of its own; every decoder is exact to it in turn. Fewer bytes, faster calls.
// --draft-weights: the same for drafts alone, which verification corrects.
// Refuses: other words. Adapters are loaded on top: they were trained for the exact weights, so drafts may fare a little worse.

using System.CommandLine;
using Ptp.Core.Model;
using Ptp.Core.Tensors;

namespace Ptp.Reference.Commands;

/// <summary>The option, and what it does.</summary>
internal static class WeightsOption
{
    /// <summary>As they are.</summary>
    public const string Exact = "f32";

    /// <summary>A byte for each weight.</summary>
    public const string Int8 = "int8";

    private const string Bf16 = "bf16";
    private const string Same = "same";

    /// <summary>A new option for a verb.</summary>
    public static Option<string?> New() => Values.Word(
        "--weights", "Keep the model's matrices as f32, rounded to bf16 (half the bytes, or what a BF16 file holds anyway), or as int8 with a "
        + "scale for each 64 (a quarter). A rounded model writes other texts, the same with every decoder.", [Exact, Bf16, Int8], Exact);

    /// <summary>A new option for drafts alone.</summary>
    public static Option<string?> NewForDrafts() => Values.Word(
        "--draft-weights", "What drafts are computed with: same = the model's weights, int8 = a copy of them with a scale for each 64, four times as "
        + "quick to read. Verification stays as it is, and so does the text; worth it where weights are larger than caches.", [Same, Int8], Same);

    /// <summary>Brings a model to a format.</summary>
    public static void Apply(Transformer model, string format)
    {
        switch (format)
        {
            case Bf16:
                model.RoundToBFloat16();
                break;
            case Int8:
                model.StoreWeights(WeightFormat.Int8);
                break;
            default:
                break;
        }
    }
}
