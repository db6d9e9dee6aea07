// Generated tensors for the tests of formats: odd shapes, empty ones, scalars, Unicode names, special values.
// Every case is a function of its seed.
// Not here: NaN; tests that want one place it themselves.

using Ptp.Core.Formats;

namespace Ptp.Tests.Formats;

internal static class RandomTensors
{
    public static float[] Values(Random random, int[] shape)
    {
        var values = new float[shape.Aggregate(1, (product, size) => product * size)];
        foreach (ref var value in values.AsSpan())
        {
            value = random.Next(20) switch
            {
                0 => 0f,
                1 => -0f,
                2 => (float)Math.ScaleB(random.NextDouble() - 0.5, -random.Next(30)),
                _ => (float)((random.NextDouble() * 2) - 1),
            };
        }

        return values;
    }

    public static List<StoredTensor> Some(int seed, int most = 6)
    {
        var random = new Random(seed);
        var tensors = new List<StoredTensor>();
        var count = random.Next(most + 1);
        for (var i = 0; i < count; i++)
        {
            var shape = new int[random.Next(4)];
            for (var j = 0; j < shape.Length; j++)
            {
                shape[j] = random.Next(10) == 0 ? 0 : random.Next(1, 9);
            }

            var name = random.Next(4) switch
            {
                0 => $"größe.{i}\u2713",
                1 => $"quote\" slash\\ line\n {i}",
                2 => $"😀{i}",
                _ => $"model.layers.{i}.weight",
            };
            tensors.Add(new StoredTensor(name, shape, Values(random, shape)));
        }

        return tensors;
    }
}
