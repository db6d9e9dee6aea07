// Temperature, top-k and top-p: which law a decoder samples from, inverts and verifies.
// The law itself is computed by LogitsTransform, in this order: temperature, top-k, top-p.
// Refuses: negative or non-finite temperature, negative top-k, top-p outside (0, 1].

namespace Ptp.Core.Decoding;

/// <summary>The sampling law, as a user names it.</summary>
public sealed record SamplingOptions
{
    /// <summary>Always the most probable token: the law is a point mass, whatever u is.</summary>
    public static SamplingOptions Greedy { get; } = new() { Temperature = 0 };

    /// <summary>Logits are divided by it; 0 takes the most probable token.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Keep the k most probable tokens; 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Keep the shortest prefix, in descending probability, of at least this mass; 1 keeps all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>These options, checked.</summary>
    /// <exception cref="PtpException">A value is out of range.</exception>
    public SamplingOptions Validated()
    {
        const string asked = "Check the sampling options";
        Guard.Require(
            double.IsFinite(Temperature) && Temperature >= 0, asked, $"temperature = {Guard.Text(Temperature)}",
            "a finite number of at least 0", "Use 0 for greedy decoding, 1 for the model's own law.");
        Guard.Require(
            TopK >= 0, asked, $"top-k = {Guard.Text(TopK)}", "0 or a positive whole number",
            "Use 0 to keep every token.");
        Guard.Require(
            TopP is > 0 and <= 1, asked, $"top-p = {Guard.Text(TopP)}", "a number in (0, 1]",
            "Use 1 to keep every token; a tiny top-p keeps the most probable one.");
        return this;
    }
}
