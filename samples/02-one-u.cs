// A text is a function of its prompt and of u: change u of one token, and see which tokens change. Run it from the root:
//   dotnet run samples/02-one-u.cs
// Tokens before it never change (Theorem 1); those after it may, because they depend on what was written before.
#:project ../Ptp.Core/Ptp.Core.csproj
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Core.Text;
using Ptp.Core.Training;

const int Length = 48;
const int Changed = 12;
var model = ModelCheckpoint.Load("models/base", new CpuBackend());
var tokenizer = Tokenizer.Load("models/base");
var decoder = new Autoregressive(model, new SamplingOptions { Temperature = 0.7, TopP = 0.9 }, InverseCdf.Instance);
int[] prompt = [model.Config.BeginToken!.Value, .. tokenizer.Encode("Once upon a time")];

var seeded = Auxiliaries.FromSeed(42);
var u = Enumerable.Range(0, Length).Select(g => seeded.At(g, 0)).ToArray();
var before = Tokens(u);
Console.WriteLine($"u[{Changed}] = {u[Changed]:0.000}: {tokenizer.Decode(before)}");
foreach (var value in (float[])[0.05f, 0.35f, 0.65f, 0.95f])
{
    u[Changed] = value;
    var after = Tokens(u);
    var marks = string.Concat(before.Zip(after, (a, b) => a == b ? '.' : 'x'));
    Console.WriteLine($"\nu[{Changed}] = {value:0.000}: {tokenizer.Decode(after)}\n  {marks}");
    if (!before.AsSpan(0, Changed).SequenceEqual(after.AsSpan(0, Changed)))
    {
        Console.WriteLine("A token before the changed u changed: Theorem 1 is broken.");
        return 1;
    }
}

Console.WriteLine($"\nThe first {Changed} tokens never changed.");
return 0;

int[] Tokens(float[] numbers) => decoder.Decode(
    prompt, Auxiliaries.FromValues(numbers), new DecodeLimits(Length, [])).Tokens;
