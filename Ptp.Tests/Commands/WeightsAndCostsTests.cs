// --weights, --draft-weights and calls.json on tiny random models: rounded models decode exactly in turn; drafts from rounded weights leave
// the text as it is; saved costs are found again on their machine.
// Controls: int8 and BF16 give other texts than the file's numbers somewhere; costs of another machine are not used, damaged ones refused.
// Not here: whether rounding is worth it; that is measured in benchmarks/.

using System.Text.Json.Nodes;
using Ptp.Core.Decoding;
using Xunit;

namespace Ptp.Tests.Commands;

[Collection(SharedTinyModels.Name)]
public sealed class WeightsAndCostsTests(TinyModels tiny)
{
    [Fact]
    public void Every_decoder_is_exact_to_a_rounded_model()
    {
        var different = 0;
        foreach (var weights in (string[])["bf16", "int8"])
        {
            for (var seed = 0; seed < 4; seed++)
            {
                string[] common =
                [
                    "generate", "--model", tiny.Base, "--adapter", tiny.Categorical, "--prompt", "The cat", "--max-new", "40", "--seed", $"{seed}",
                ];
                string[] rounded = [.. common, "--weights", weights];
                var plain = CliRun.Result([.. rounded, "--decoder", "ar"]);
                Assert.Equal(weights, plain.GetProperty("weights").GetString());
                foreach (var decoder in (string[][])[["--decoder", "ptp", "--slots", "5"], ["--decoder", "pqd", "--budget", "6"]])
                {
                    Assert.Equal(plain.GetProperty("text").GetString(), CliRun.Result([.. rounded, .. decoder]).GetProperty("text").GetString());
                }

                var exact = CliRun.Result([.. common, "--decoder", "ar"]).GetProperty("text").GetString();
                different += plain.GetProperty("text").GetString() != exact ? 1 : 0;
            }
        }

        Assert.True(different >= 1, "the control: rounding must show in some text");
        CliRun.Refuses("one of f32, bf16, int8", "generate", "--model", tiny.Base, "--prompt", "a", "--weights", "int4");
    }

    [Fact]
    public void Drafts_from_bytes_leave_the_text_as_it_is()
    {
        foreach (var adapter in (string[])[tiny.Categorical, tiny.Adapter])
        {
            for (var seed = 0; seed < 3; seed++)
            {
                string[] common =
                [
                    "generate", "--model", tiny.Base, "--adapter", adapter, "--prompt", "The cat", "--max-new", "40", "--seed", $"{seed}",
                ];
                var expected = CliRun.Result([.. common, "--decoder", "ar"]).GetProperty("text").GetString();
                foreach (var slots in (string[][])[["--slots", "4"], []]) // as many as pay, too
                {
                    var drafted = CliRun.Result([.. common, "--decoder", "ptp", "--draft-weights", "int8", .. slots]);
                    Assert.Equal("int8", drafted.GetProperty("draft_weights").GetString());
                    Assert.Equal(expected, drafted.GetProperty("text").GetString());
                }
            }
        }

        // Branches verify with the weights that they draft with.
        CliRun.Refuses("a twin of the model", "generate", "--model", tiny.Base, "--adapter", tiny.Categorical, "--prompt", "a", "--decoder", "pqd",
            "--budget", "4", "--draft-weights", "int8");
    }

    [Fact]
    public void Saved_costs_are_used_on_their_machine_alone()
    {
        var model = tiny.Copy(tiny.Base, "costs-base");
        var adapter = tiny.Copy(tiny.Categorical, "costs-adapter");
        var measured = CliRun.Result(
            "bench", "calls", "--model", model, "--adapter", adapter, "--max-rows", "4", "--context", "8", "--rounds", "1", "--save");
        var file = Path.Combine(model, CallCostsFile.Name);
        var machine = (string)JsonNode.Parse(File.ReadAllText(file))!["machine"]!;
        var costs = CallCostsFile.Find(model, machine)!;
        Assert.Equal(measured.GetProperty("calls")[3].GetProperty("ms").GetDouble(), costs.Milliseconds(2, 8), 6);
        Assert.NotNull(CallCostsFile.Find(adapter, machine));
        Assert.Null(CallCostsFile.Find(model, machine + " of another"));
        Assert.Null(CallCostsFile.Find(tiny.Base, machine));

        // Costs that say a plain call takes an hour make drafts pay; costs of another machine say nothing.
        CallCost[] hour = [new(1, 0, 3.6e6), new(2, 0, 1e-3), new(16, 0, 1e-3)];
        double Predicted() => CliRun.Result("generate", "--model", model, "--adapter", adapter, "--prompt", "The", "--max-new", "12")
            .GetProperty("predicted_speedup").GetDouble();
        CallCostsFile.Save(model, machine, new CallCosts(hour));
        Assert.True(Predicted() > 1000);
        CallCostsFile.Save(model, machine + " of another", new CallCosts(hour));
        Assert.True(Predicted() < 1000);

        File.WriteAllText(file, File.ReadAllText(file).Replace(" of another", "").Replace("\"ms\": 0.001", "\"ms\": -1"));
        CliRun.Refuses("ptp bench calls --save", "generate", "--model", model, "--adapter", adapter, "--prompt", "The");
        File.WriteAllText(file, "{}");
        CliRun.Refuses("format_version", "generate", "--model", model, "--adapter", adapter, "--prompt", "The");
    }
}
