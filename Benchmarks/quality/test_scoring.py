"""Tests of the pure functions. From this folder: python3 -m unittest"""

import unittest

from math import comb

from scoring import (
    Extraction, anchored, clean, elect, equal_token_differences, extract, holm, interpolate,
    likeness, normalise, paired_interval, request_seed, separation, sign_test, wilson)


class ExtractionTests(unittest.TestCase):
    def test_finds_the_marked_answer_however_it_is_decorated(self):
        for text, wanted in [
            ("2 + 2 is four.\nAnswer: 4", "4"),
            ("answer:4", "4"),
            ("**Answer:** 4", "4"),
            ("**Answer: 4**", "4"),
            ("**Answer**: 4.", "4"),
            ("### Final Answer: `4`", "4"),
            ("Final answer = 4", "4"),
            ("So the answer is 4.", "4"),
            ("The final answer is: $4$", "4"),
            ("Answer:\n\n4", "4"),
            ("Answer: **\n4**", "4"),
            ("Answer: $\\boxed{\\frac{1}{2}}$", "\\frac{1}{2}"),
            ("Hence \\boxed{4} holds.", "4"),
            ("<answer>\n4\n</answer>", "4"),
            ("Answer: up up right", "up up right"),
            ("Answer: ['4', '5']", "['4', '5']"),
            ("Answer: \"stop\"", "stop"),
            ("Answer: 07:30", "07:30"),
            ("Answer: -3.5", "-3.5"),
        ]:
            with self.subTest(text):
                self.assertEqual(extract(text), Extraction(wanted, True))

    def test_the_last_mark_wins(self):
        self.assertEqual(extract("Answer: 3\nNo, wait.\nAnswer: 4").answer, "4")
        self.assertEqual(extract("The answer is: the final answer is 4.").answer, "4")
        self.assertEqual(extract("\\boxed{3}\nAnswer: 4").answer, "4")

    def test_a_repeated_instruction_is_no_answer(self):
        self.assertEqual(extract("Answer: 4\nEnd with the line\nAnswer: ...").answer, "4")
        self.assertEqual(extract("Answer: 4\nAnswer: <your answer>").answer, "4")

    def test_talking_of_answers_is_no_mark(self):
        self.assertEqual(extract("Let me answer the question.\n12"), Extraction("12", False))

    def test_thoughts_are_not_read(self):
        self.assertEqual(extract("<think>Answer: 3</think>\nAnswer: 4").answer, "4")
        self.assertIsNone(extract("<think>Answer: 3 or so, but I was cut o"))

    def test_without_a_mark_it_is_the_last_line(self):
        self.assertEqual(extract("Well.\n\n  42.  \n"), Extraction("42", False))

    def test_nothing_has_no_answer(self):
        for text in (None, "", "  \n "):
            self.assertIsNone(extract(text))

    def test_cleaning_leaves_what_belongs_to_the_answer(self):
        for text in ("2 * 3 * 4", "'a', 'b'", "a...", "x_1", "[1, 2]", "10*(8 - 5)"):
            self.assertEqual(clean(text), text)


class VoteTests(unittest.TestCase):
    def test_numbers_vote_by_their_value(self):
        for group in (["1000", "1,000", "1000.0", "+1000", "**1000**"], ["0", "-0", "0.0"],
                      ["Yes", "yes.", " YES "], ["a, b", "a,b", "A ,b"]):
            self.assertEqual(len({normalise(answer) for answer in group}), 1, group)
        for one, other in [("1,00", "100"), ("1.5", "15"), ("-1", "1"), ("01:30", "1:30")]:
            self.assertNotEqual(normalise(one), normalise(other))

    def test_most_votes_win(self):
        self.assertEqual(elect(["7", "yes", "yes"], ["", "", ""]), 1)

    def test_equal_votes_go_to_the_first(self):
        self.assertEqual(elect(["7", "8"], ["", ""]), 0)
        self.assertEqual(elect(["7", "8", "9", "8", "7"], [""] * 5), 0)

    def test_an_answer_without_a_vote_does_not_vote(self):
        self.assertEqual(elect([None, None, "7"], ["", "", ""]), 2)

    def test_without_votes_the_text_nearest_to_the_others_wins(self):
        texts = ["a b c d", "x y z", "a b c e", "a b c d e"]
        self.assertEqual(elect([None] * 4, texts), 3)
        self.assertEqual(elect([None] * 2, ["a", "b"]), 0)
        self.assertEqual(elect([None], [""]), 0)

    def test_likeness_counts_words_and_signs(self):
        from collections import Counter
        self.assertEqual(likeness(Counter("ab"), Counter("ab")), 1)
        self.assertEqual(likeness(Counter("ab"), Counter("cd")), 0)
        self.assertEqual(likeness(Counter("aab"), Counter("ab")), 0.8)
        self.assertEqual(likeness(Counter(), Counter()), 1)

    def test_an_anchor_stands_until_it_is_outvoted_by_the_margin(self):
        self.assertEqual(anchored(["a", "b"], 1), 0)
        self.assertEqual(anchored(["a", "b", "b"], 1), 1)
        self.assertEqual(anchored(["a", "b", "b"], 2), 0)
        self.assertEqual(anchored(["a", "b", "b", "b"], 2), 1)
        self.assertEqual(anchored(["a", "a", "b", "b"], 1), 0)

    def test_an_anchor_without_an_answer_does_not_stand(self):
        self.assertEqual(anchored([None, None, "b"], 2), 2)
        self.assertEqual(anchored([None, None], 1), 0)

    def test_half_a_vote_does_not_outvote(self):
        self.assertEqual(anchored(["a", "b", "b"], 1, [1, 1, 0.5]), 0)
        self.assertEqual(anchored(["a", "b", "b"], 0.5, [1, 1, 0.5]), 1)


class IntervalTests(unittest.TestCase):
    def test_wilson_agrees_with_published_values(self):
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        for right, count, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                                        (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]:
            found = wilson(right / count, count)
            self.assertAlmostEqual(found[0], low, 4)
            self.assertAlmostEqual(found[1], high, 4)

    def test_wilson_stays_between_0_and_1_and_knows_nothing_without_tasks(self):
        self.assertEqual(wilson(1.0, 3)[1], 1.0)
        self.assertEqual(wilson(0.0, 3)[0], 0.0)
        self.assertEqual(wilson(0.0, 0), (0.0, 1.0))

    def test_paired_interval_is_the_same_for_the_same_seed(self):
        differences = [1, 0, 0, -1, 1, 0, 1, 0]
        self.assertEqual(paired_interval(differences, 7), paired_interval(differences, 7))

    def test_paired_interval_holds_the_mean_and_narrows_with_more_tasks(self):
        few, many = [1, 0, 0, -1, 1], [1, 0, 0, -1, 1] * 40
        low, high = paired_interval(few, 1)
        self.assertTrue(low <= 0.2 <= high)
        narrow_low, narrow_high = paired_interval(many, 1)
        self.assertTrue(narrow_low <= 0.2 <= narrow_high)
        self.assertLess(narrow_high - narrow_low, high - low)

    def test_no_difference_at_all_has_no_interval(self):
        self.assertIsNone(paired_interval([0.0, 0.0], 1))
        self.assertIsNone(paired_interval([], 1))


class TestTests(unittest.TestCase):
    def test_the_sign_test_equals_the_table_for_1_to_20_pairs(self):
        for pairs in range(1, 21):
            for won in range(pairs + 1):
                tail = sum(comb(pairs, n) for n in range(pairs + 1)
                           if abs(2 * n - pairs) >= abs(2 * won - pairs))
                self.assertAlmostEqual(sign_test(won, pairs - won), tail / 2**pairs, 12)

    def test_known_values_of_the_sign_test(self):
        for won, lost, p in [(0, 8, 0.0078125), (20, 8, 0.0357), (0, 0, 1), (5, 5, 1), (1, 0, 1)]:
            self.assertAlmostEqual(sign_test(won, lost), p, 4)

    def test_holm_multiplies_the_smallest_most_and_keeps_the_order(self):
        self.assertEqual([round(p, 6) for p in holm([0.01, 0.04, 0.03, 0.005])],
                         [0.03, 0.06, 0.06, 0.02])
        self.assertEqual(holm([0.5, 0.9]), [1.0, 1.0])
        self.assertEqual(holm([]), [])

    def test_separation_is_the_area_under_the_curve(self):
        self.assertEqual(separation([2, 3], [0, 1]), 1)
        self.assertEqual(separation([1], [1]), 0.5)
        self.assertEqual(separation([0, 3], [1, 2]), 0.5)
        self.assertIsNone(separation([], [1]))


class CurveTests(unittest.TestCase):
    def test_scores_between_points_lie_on_a_line_and_ends_are_kept(self):
        points = [(10, 0.2), (30, 0.6), (20, 0.2)]
        for x, y in [(5, 0.2), (10, 0.2), (20, 0.2), (25, 0.4), (30, 0.6), (99, 0.6)]:
            self.assertAlmostEqual(interpolate(points, x), y)
        self.assertEqual(interpolate([(10, 0.5)], 3), 0.5)

    def test_a_pattern_is_compared_at_its_own_tokens(self):
        pattern = [(20, 1.0), (20, 0.0)]
        curve = [[(10, 0.0), (10, 0.0)], [(30, 1.0), (30, 0.0)]]
        difference, (low, high) = equal_token_differences(pattern, curve, 1)
        self.assertAlmostEqual(difference, 0.25)
        self.assertTrue(low <= difference <= high)
        self.assertEqual(equal_token_differences(pattern, curve, 1),
                         equal_token_differences(pattern, curve, 1))

    def test_equal_answers_have_no_interval(self):
        self.assertEqual(equal_token_differences([(5, 1.0)], [[(5, 1.0)]], 1), (0, None))


class SeedTests(unittest.TestCase):
    def test_seeds_repeat_and_differ_and_fit_31_bits(self):
        def seeds_of_a_run():
            return [request_seed(1, "direct", task, sample)
                    for task in range(20) for sample in range(5)]

        seeds = seeds_of_a_run()
        self.assertEqual(seeds, seeds_of_a_run())
        self.assertEqual(len(set(seeds)), 100)
        self.assertTrue(all(0 <= seed < 2**31 for seed in seeds))


if __name__ == "__main__":
    unittest.main()
