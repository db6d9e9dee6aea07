// Trains a toy language, distills O-PTP for it, and proves that parallel decoding changes nothing: in under a minute.
//   dotnet run samples/03-toy-language.cs
// The language counts: a digit, then its successors, with a random start and a random step. No file is needed.
#:project ../Ptp.Core/Ptp.Core.csproj
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;

const int End = 12; // tokens 0 to 9 are digits, 10 and 11 say whether the text counts by one or by three
var random = new RandomStream(1, "toy language");
var documents = Enumerable.Range(0, 400).Select(_ => Sentence()).ToArray();
using var backend = new CpuBackend(threads: 1); // so small a model is faster without splitting its work
var config = TransformerConfig.Named("66k", 13) with { Layers = 2, MaxContext = 64, BeginToken = End, EndTokens = [End] };
var model = new Transformer(backend, config, seed: 1);

var corpus = new WeightedDocuments("toy", documents, 1);
var trainer = new LanguageModelTrainer(
    model, new PackedBatches([corpus], End, 1), new AdamWOptions(), new LearningRate { Peak = 3e-3, Steps = 150, WarmUp = 20 }, 256);
for (var step = 1; step <= 150; step++)
{
    var report = trainer.Step();
    if (step % 50 == 0)
    {
        Console.WriteLine($"language model, step {step}: loss {report.Loss:0.000}");
    }
}

model.SetTrainable(false);
var law = new SamplingOptions { Temperature = 1 };
var rule = InverseCdf.Instance;
var sampler = new Autoregressive(model, law, rule);
var limits = new DecodeLimits(40, [End]);
var batches = new BatchedSampling(model, law, rule, batch: 128);
var completions = new List<Completion>();
for (var first = 0UL; first < 3072; first += 128)
{
    // The teacher's texts with the u that made them: all that distillation learns from.
    var jobs = Enumerable.Range(0, 128).Select(i => new SamplingJob([End], Auxiliaries.FromSeed(first + (ulong)i), 40)).ToArray();
    completions.AddRange(batches.Run(jobs).Zip(jobs, (tokens, job) =>
        new Completion(tokens, 1, job.U)));
}

var ptp = new SlotModel(model, new GatedLora(backend, config, 32, 1, 1), new FixedPointEmbedding(), 8, law, rule, 1, SlotStart.LastToken);
var rate = new LearningRate { Peak = 3e-3, Steps = 600, WarmUp = 20 };
var distillation = new Distillation(
    ptp, completions, new DistillationOptions { ContextTokens = 256, SlotRows = 256 }, new AdamWOptions(), rate);
for (var step = 1; step <= 600; step++)
{
    var report = distillation.Step();
    if (step % 200 == 0)
    {
        Console.WriteLine($"O-PTP, step {step}: loss {report.Loss:0.000}");
    }
}

var parallel = new ErrorCorrectedDecoding(model, ptp.NewDrafter(), law, rule);
var total = new DecodeStats();
for (var seed = 10_000UL; seed < 10_200; seed++)
{
    var one = sampler.Decode([End], Auxiliaries.FromSeed(seed), limits);
    var several = parallel.Decode([End], Auxiliaries.FromSeed(seed), limits);
    total.Add(several.Stats);
    if (!one.Tokens.SequenceEqual(several.Tokens))
    {
        Console.WriteLine($"seed {seed}: the texts differ");
        return 1;
    }
}

Console.WriteLine($"200 texts, {total.Tokens} tokens: identical, {total.AcceptedPerRound:0.00} accepted per round");
return 0;

int[] Sentence()
{
    var (digit, step) = (random.NextInt(10), random.NextInt(2));
    var text = new List<int> { 10 + step, digit };
    for (var length = 4 + random.NextInt(20); length > 0; length--)
    {
        digit = (digit + (step == 0 ? 1 : 3) + (random.NextInt(8) == 0 ? 1 : 0)) % 10;
        text.Add(digit);
    }

    return [.. text];
}
